"""Live push: what changed of a series since a cursor, to many readers over Server-Sent Events.

Pure: cursor.py, delta.py, messages.py, outbox.py. The database: reading.py. The process: channel.py, hub.py, server.py.
"""
