"""A client of Candlekeep: candles and trades, exact, with their certificate, as rows, pandas, polars or Arrow.

It needs httpx alone, and nothing of the platform. `pandas`, `polars` and `arrow` are extras.
"""

from candlekeep_client.async_client import AsyncClient
from candlekeep_client.candles import Candle, Candles
from candlekeep_client.certificate import Certificate, Repair, Segment
from candlekeep_client.client import Client
from candlekeep_client.errors import (
    AccessDenied,
    CandlekeepError,
    GapsFound,
    MissingExtra,
    Refused,
    StillFetching,
    UnknownMarket,
    Unreachable,
)
from candlekeep_client.markets import Coverage, Market, Missing
from candlekeep_client.trades import Trade, Trades
from candlekeep_client.updates import CandleChanged, CandleRemoved, GapChanged, Snapshot, Update, WatermarkMoved

__all__ = [
    "AccessDenied",
    "AsyncClient",
    "Candle",
    "CandleChanged",
    "CandleRemoved",
    "CandlekeepError",
    "Candles",
    "Certificate",
    "Client",
    "Coverage",
    "GapChanged",
    "GapsFound",
    "Market",
    "Missing",
    "MissingExtra",
    "Refused",
    "Repair",
    "Segment",
    "Snapshot",
    "StillFetching",
    "Trade",
    "Trades",
    "UnknownMarket",
    "Unreachable",
    "Update",
    "WatermarkMoved",
]
