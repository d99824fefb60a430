"""Streams that clients ask for at run time: their life, their topics, and each step they took.

The Coordinator has topics made and retired by these rows.
Pushing changes to readers is `datastore/sse`.
"""
