"""What every actor shares: its row and chart, the loop that runs it, who owns it, how a transition is stored.

None of the five actors lives here:

| actor                       | model                            | what it does in a turn                           |
|-----------------------------|----------------------------------|--------------------------------------------------|
| Producer (live)             | ingestion.models.Producer        | ingestion/live/live_producer_actor.py            |
| Producer (history)          | ingestion.models.Producer        | ingestion/history/history_producer_actor.py      |
| Producer (topics)           | ingestion.models.Producer        | ingestion/topics/topic_producer_actor.py         |
| Coordinator                 | coordination.models.Coordinator  | coordination/coordinator_actor.py                |
| Consumer for fixed topics   | consumers.models                 | consumers/fixed_consumer_actor.py                |
| Consumer for dynamic topics | consumers.models                 | consumers/dynamic_consumer_actor.py              |
| Datastore                   | datastore.models.request         | datastore/datastore_actor.py                     |

It imports the streaming layer and metering only: it knows no provider, no market, no candle.
"""
