"""What is peculiar to CryptoCompare: how old its answers may be, what a page holds, how it spells exchanges."""

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
    Proof,
    Resolution,
    StreamTraits,
    Traits,
)

TRAITS = Traits(
    name="cryptocompare",
    venues=None,
    needs_key=True,
    hosts=(
        Host("rest", "CRYPTOCOMPARE_REST_URL", "https://min-api.cryptocompare.com"),
        Host("stream", "CRYPTOCOMPARE_WS_URL", "wss://streamer.cryptocompare.com/v2"),
    ),
    proofs=(Proof.SEQUENCE, Proof.CONNECTION, Proof.CANDLE),
    stream=StreamTraits(
        heartbeat_proves_quiet=False,
        silent_after=timedelta(seconds=70),  # two heartbeats of 30 s were missed
        # "Always wait at least 5 seconds to reconnect" (its websocket documentation).
        reconnect_after=timedelta(seconds=5),
    ),
    candles=CandleTraits(
        resolutions={
            60: Resolution(timedelta(seconds=60), depth=timedelta(days=7)),
            3600: Resolution(timedelta(seconds=660)),
            86_400: Resolution(timedelta(seconds=660)),
        },
        rows_per_page=2000,  # one more is asked for, since the provider may round the end of a page
        empties=Empties.FILLED,
        opens_with=OpenPrice.PRIOR_CLOSE,  # in practice
        volume_tolerance=Decimal("1e-6"),  # its volumes are sums of 64-bit floats
    ),
    trades=None,
    limits=Limits(  # a little below those of its plans
        calls=(CallWindow(1, 15), CallWindow(60, 280), CallWindow(3600, 2_900), CallWindow(86_400, 7_000)),
        connections_at_once=1,  # of one key
        counted_as="history",  # as since the first release
    ),
    terms="Needs a paid subscription; what its data may be used for is in the terms of that.",
    spellings={
        "binanceus": "BinanceUS",
        "bitmex": "BitMEX",
        "bitso": "Bitso",
        "cccagg": "CCCAGG",
        "cryptodotcom": "CryptoDotCom",
        "hitbtc": "HitBTC",
        "huobipro": "HuobiPro",
        "itbit": "itBit",
        "lbank": "LBank",
        "mexc": "MEXC",
        "okex": "OKEX",
        "okx": "OKX",
    },
)
