"""What a question lacks, what of that can be fetched, and how its asker is woken when it is there.

The actor that walks a question through its states is `datastore_actor.py`, one floor up.
Nothing here talks HTTP.
"""
