"""How an actor is run: the only loops of the product.

One actor in a process (`actor_loop`), many in one (`pool_loop`), and what both of them keep between turns.
Nothing specific to one actor belongs here; an actor supplies `open()`, `turn()`, `beat()` and `close()`.
"""
