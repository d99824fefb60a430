"""From the provider's socket to tick-data and the dynamic topics.

The live Producer's turn: read frames, estimate the provider's clock, number what was sent, publish, acknowledge.
Nothing here knows a provider's format; frames are parsed in `ingestion/providers`.
"""
