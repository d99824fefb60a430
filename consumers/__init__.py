"""The two consumers: FixedTopicConsumer (tick-data, candle-data) and DynamicTopicConsumer (a market's own topic).

A turn reads a batch, stores it in one transaction through the datastore, then commits the offsets.
It knows nothing of providers: ingestion is not imported, and what a record means is decided by the datastore.
"""
