"""Streams that clients create at run time: their life, their topics, and the steps they took.

The Coordinator creates and retires topics by these rows.
Pushing changes to readers is `datastore/sse`.
"""
