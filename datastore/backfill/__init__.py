"""History from the provider: the queue of requests, how each ended, what it stored, and the gaps that ask for it.

Fetching it is `ingestion`; handing requests out is `coordination`.
Whether a question has to wait for it is `datastore/requests`.
"""
