"""The adapter for Valkey and Redis Streams: one active consumer per topic and group.

Its errors are translated here; no RedisError leaves this folder.
Anything that reads or writes a key of a stream belongs here and nowhere else.
"""
