"""Who makes a request: key or session, permission, rate limit, the client's address, and the log of what was written.

Keys and counters themselves are `datastore/access`.
"""
