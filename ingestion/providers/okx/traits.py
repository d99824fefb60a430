"""What OKX gives, proves and allows. Source: its public documentation of the API v5, and one recorded session.

Its ids counted up by one in the 69 trades that were recorded: too few to let them prove anything without being asked.
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

MAX_TRADES, MAX_CANDLES = 100, 300

TRAITS = Traits(
    name="okx",
    venues=("okx",),
    needs_key=False,
    hosts=(
        Host("stream", "OKX_WS_URL", "wss://ws.okx.com:8443/ws/v5/business"),
        Host("rest", "OKX_REST_URL", "https://www.okx.com"),
    ),
    proofs=(Proof.CONNECTION, Proof.CANDLE),
    stream=StreamTraits(
        heartbeat_proves_quiet=False,
        silent_after=timedelta(seconds=45),
        keep_alive=timedelta(seconds=20),  # the venue cuts after 30 s without any data
        stamps_quiet=False,
    ),
    candles=CandleTraits(
        resolutions={seconds: Resolution(timedelta(seconds=120)) for seconds in (60, 3600, 86_400)},
        rows_per_page=MAX_CANDLES,
        empties=Empties.FILLED,
        opens_with=OpenPrice.FIRST_TRADE,
        volume_tolerance=Decimal("1e-6"),  # nobody has compared them with the trades yet
    ),
    trades=TradeTraits(MAX_TRADES, PageBy.ID, oldest_first=False, depth=timedelta(days=90)),
    # Of the strictest page, for one address. Messages: only subscriptions count (480 an hour), and one names many.
    limits=Limits(calls=(CallWindow(2, 20),), connections=CallWindow(1, 3)),
    terms="OKX serves some regions from hosts of their own with other markets, and others, like mainland China, not "
    "at all: read its terms.",
)
TRAITS_BY_IDS = replace(TRAITS, proofs=(Proof.IDS, *TRAITS.proofs))
