"""Topics made at run time: the Producer of role `producer-topic` creates them on the Coordinator's instruction.

It is a role of its own, so that a backfill never holds a new stream up.
What is published to them is `ingestion/live`.
"""
