"""What a question is missing, what of that can be fetched, and how its reader is woken when it is there.

The actor that walks a question through its states is `datastore_actor.py`, one layer above.
Nothing here talks HTTP.
"""
