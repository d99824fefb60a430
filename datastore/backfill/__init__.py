"""History from the provider: the queue of fetches, how each ended, what it stored, and the gaps that ask for it.

Who carries a fetch out is ingestion; who hands it out is coordination.
Whether a question has to wait for it is `datastore/requests`.
"""
