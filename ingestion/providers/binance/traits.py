"""What Binance and Binance.US give, prove and allow. Source: binance-spot-api-docs, binance-us-api-docs.

The hosts are those for market data alone, which need no key and answer where the main ones do not (HTTP 451).
Binance.US is another market with ids of its own, never a stand-in for Binance.
"""

from __future__ import annotations

from dataclasses import replace
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

MAX_TRADES, MAX_CANDLES = 1000, 1000

TRAITS = Traits(
    name="binance",
    venues=("binance",),
    needs_key=False,
    hosts=(
        Host("stream", "BINANCE_WS_URL", "wss://data-stream.binance.vision/stream"),
        Host("rest", "BINANCE_REST_URL", "https://data-api.binance.vision"),
    ),
    proofs=(Proof.IDS, Proof.CONNECTION, Proof.CANDLE),
    stream=StreamTraits(
        heartbeat_proves_quiet=False,
        silent_after=timedelta(seconds=60),  # a market that does not trade sends nothing; the venue pings every 20 s
        refuses_silently=True,
        aggregates=True,
    ),
    candles=CandleTraits(
        resolutions={seconds: Resolution(timedelta(seconds=60)) for seconds in (60, 3600, 86_400)},
        rows_per_page=MAX_CANDLES,
        empties=Empties.FILLED,
        opens_with=OpenPrice.FIRST_TRADE,
        quote_volume_step=Decimal("1e-8"),
        trade_counts=True,
    ),
    trades=TradeTraits(rows_per_page=MAX_TRADES, page_by=PageBy.ID, oldest_first=True),
    limits=Limits(
        calls=(CallWindow(300, 61_000),),
        weights=(CallWindow(60, 6000),),
        used_weight_header="X-MBX-USED-WEIGHT-1M",
        channels_per_connection=1024,
        channels_per_market=2,
        messages=CallWindow(1, 5),  # pongs count, too
        connections=CallWindow(300, 300),
        forced_disconnect=timedelta(hours=24),
    ),
    terms="Binance does not serve the United States and some other regions; its hosts for market data answer in most.",
)

US_TRAITS = replace(
    TRAITS,
    name="binanceus",
    venues=("binanceus",),
    hosts=(
        Host("stream", "BINANCEUS_WS_URL", "wss://stream.binance.us:9443/stream"),
        Host("rest", "BINANCEUS_REST_URL", "https://api.binance.us"),
    ),
    stream=replace(TRAITS.stream, silent_after=timedelta(minutes=6)),  # it pings every 3 minutes
    limits=replace(TRAITS.limits, calls=(CallWindow(300, 6000),), weights=(CallWindow(60, 1200),)),
    terms="Binance.US serves the United States; it is a market of its own, apart from Binance, and its books are thin.",
)
