"""How an actor is run: the only loops of the product.

One actor in a process (`actor_loop`), many in one (`pool_loop`), and what both of them keep between turns.
No actor-specific step belongs here; an actor brings `open()`, `turn()`, `beat()` and `close()`.
"""
