"""The datastore's tables as Django models.

Market data is written by the SQL functions in datastore/sql; the models describe its tables and read them.
A model may hold what belongs to its one row; everything else belongs to the packages above.
"""

from __future__ import annotations

from datastore.models.api_key import ApiKey
from datastore.models.candle import Candle, ProviderCandle
from datastore.models.clock import DatabaseClock, ProviderClock
from datastore.models.coverage import Coverage, CoverageChange, Feed, FeedPosition, GapRepair
from datastore.models.dead_letter import DeadLetter
from datastore.models.fetch import FetchRequest
from datastore.models.market import Market, Pair
from datastore.models.reconciliation import CandleDifference, Reconciliation
from datastore.models.request import DatastoreRequest
from datastore.models.spending import FetchSpending
from datastore.models.stored_ids import IdRange, LastTradeStatement
from datastore.models.stream import DynamicTopic, Stream
from datastore.models.trade import Tick

__all__ = [
    "ApiKey",
    "Candle",
    "CandleDifference",
    "Coverage",
    "CoverageChange",
    "DatabaseClock",
    "DatastoreRequest",
    "DeadLetter",
    "DynamicTopic",
    "Feed",
    "FeedPosition",
    "FetchRequest",
    "FetchSpending",
    "GapRepair",
    "IdRange",
    "LastTradeStatement",
    "Market",
    "Pair",
    "ProviderCandle",
    "ProviderClock",
    "Reconciliation",
    "Stream",
    "Tick",
]
