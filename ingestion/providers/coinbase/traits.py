"""What Coinbase Exchange gives, proves and allows. Source: its public documentation of the Exchange API."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from datastore.reference.traits import (
    CallWindow,
    CandleTraits,
    Empties,
    Host,
    Limits,
    OpenPrice,
    PageBy,
    Proof,
    Resolution,
    StreamTraits,
    TradeTraits,
    Traits,
)

MAX_TRADES, MAX_CANDLES = 1000, 300

TRAITS = Traits(
    name="coinbase",
    venues=("coinbase",),
    needs_key=False,
    hosts=(
        Host("stream", "COINBASE_WS_URL", "wss://ws-feed.exchange.coinbase.com"),
        Host("rest", "COINBASE_REST_URL", "https://api.exchange.coinbase.com"),
    ),
    proofs=(Proof.IDS, Proof.CONNECTION, Proof.CANDLE),
    stream=StreamTraits(heartbeat_proves_quiet=True, silent_after=timedelta(seconds=15)),
    candles=CandleTraits(
        resolutions={seconds: Resolution(timedelta(seconds=120)) for seconds in (60, 3600, 86_400)},
        rows_per_page=MAX_CANDLES,
        empties=Empties.OMITTED,
        opens_with=OpenPrice.FIRST_TRADE,
        volume_tolerance=Decimal("1e-6"),
        quote_volume=False,
    ),
    trades=TradeTraits(rows_per_page=MAX_TRADES, page_by=PageBy.ID, oldest_first=False),
    limits=Limits(
        calls=(CallWindow(1, 10),),
        channels_per_market=2,
        messages=CallWindow(1, 10),
        connections=CallWindow(1, 8),
    ),
    terms="Coinbase's market-data terms restrict indexes, benchmarks and passing data on: read them before you do; "
    "no blocked region is known.",
)
