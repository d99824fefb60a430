"""What Kraken gives, proves and allows. Source: its public documentation, and recorded answers.

One user reports that the socket leaves out fills of one time that the REST API has, so its minutes are closed by a page
of trades. The API has the newest 720 candles of a length, whatever is asked for; they equal the trades to the digit.
"""

from __future__ import annotations

from datetime import timedelta

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

MAX_TRADES, MAX_CANDLES = 1000, 720

TRAITS = Traits(
    name="kraken",
    venues=("kraken",),
    needs_key=False,
    hosts=(
        Host("stream", "KRAKEN_WS_URL", "wss://ws.kraken.com/v2"),
        Host("rest", "KRAKEN_REST_URL", "https://api.kraken.com"),
    ),
    proofs=(Proof.IDS, Proof.CONNECTION, Proof.CANDLE),
    stream=StreamTraits(
        heartbeat_proves_quiet=False,
        silent_after=timedelta(seconds=15),
        keep_alive=timedelta(seconds=30),  # its answer has the venue's clock, too
        may_omit=True,
    ),
    candles=CandleTraits(
        # A closed candle's volume was once seen to change minutes later.
        resolutions={
            seconds: Resolution(timedelta(seconds=120), timedelta(seconds=seconds * MAX_CANDLES))
            for seconds in (60, 3600, 86_400)
        },
        rows_per_page=MAX_CANDLES,
        empties=Empties.FILLED,
        opens_with=OpenPrice.FIRST_TRADE,
        quote_volume=False,
        trade_counts=True,
        newest_rows=MAX_CANDLES,
    ),
    trades=TradeTraits(rows_per_page=MAX_TRADES, page_by=PageBy.TIME, oldest_first=True),
    limits=Limits(calls=(CallWindow(1, 1),), connections=CallWindow(600, 150)),
    terms="Kraken gives its market data to everybody for use under its terms of service; no blocked region is known.",
)
