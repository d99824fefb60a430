"""The SSE server: what changed in a series since a cursor, pushed to many followers.

Pure: cursor, delta, messages, backlog. The database: delta_reader. The process: channel, hub, connections, server.
One process, one Valkey subscription, one read per change and series, however many follow it.
"""
