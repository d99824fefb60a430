"""The two consumers: FixedTopicConsumer (tick-data, candle-data) and DynamicTopicConsumer (a market's own topic).

A turn reads a batch, stores it in one transaction through the datastore, then commits the offsets.
What a record means is the datastore's business; where it comes from is the Producer's. Neither is imported.
"""
