"""The rows of the data platform."""

from __future__ import annotations

from datastore.models.coverage import Coverage, DeadLetter, Feed, FeedPosition, GapRepair
from datastore.models.fetch import FetchRequest
from datastore.models.market import Market, Pair, ProviderClock
from datastore.models.request import DatastoreRequest
from datastore.models.series import Candle, ProviderCandle, Tick

__all__ = [
    "Candle",
    "Coverage",
    "DatastoreRequest",
    "DeadLetter",
    "Feed",
    "FeedPosition",
    "FetchRequest",
    "GapRepair",
    "Market",
    "Pair",
    "ProviderCandle",
    "ProviderClock",
    "Tick",
]
