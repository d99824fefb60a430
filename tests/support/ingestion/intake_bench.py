"""A connection that a test feeds frame by frame; its socket is never opened."""

from __future__ import annotations

import json
from typing import Any

from datastore.timeframes.intervals import SECOND_US
from ingestion.live.clock_estimate import ClockEstimate
from ingestion.live.market_connection import MarketConnection
from ingestion.live.timekeeping import Timekeeper
from ingestion.providers.cryptocompare.provider import PROVIDER as CRYPTOCOMPARE
from streaming.records import LiveRecord

T0 = 1_800_000_000
DAY = 86_400 * SECOND_US
SUBS = {"0~Coinbase~BTC~USD": "coinbase:BTC-USD", "0~Kraken~BTC~EUR": "kraken:BTC-EUR"}
ETH = "0~Coinbase~ETH~USD"
NAMES = {"btc": ("Coinbase", "BTC", "USD"), "eur": ("Kraken", "BTC", "EUR"), "eth": ("Coinbase", "ETH", "USD")}


def opened_connection(channels: dict[str, str], clock: ClockEstimate, connected: int | None) -> MarketConnection:
    """Return a connection as it is once its socket has opened at this time, microseconds; None: no stamp has come."""
    time = Timekeeper("cryptocompare")
    time.provider = clock
    connection = MarketConnection(CRYPTOCOMPARE, channels, time, grace=5 * SECOND_US, retention=30 * DAY)
    if connected is not None:
        connection.open(connected)
    return connection


class Feed:
    """A connection that is fed by the second; its machine's count equals the provider's time."""

    def __init__(self) -> None:
        self.clock = ClockEstimate()
        self.clock.observe(T0 * SECOND_US, T0 * SECOND_US)
        self.connection = opened_connection(SUBS, self.clock, T0 * SECOND_US)

    def frame(self, at: float, **fields: Any) -> None:
        self.connection.take_frame(json.dumps(fields).encode(), int((T0 + at) * SECOND_US))

    def trade(self, at: float, market: str = "btc", ts: float | None = None, **fields: Any) -> None:
        exchange, base, quote = NAMES[market]
        given = {"P": 100.5, "Q": 1, "ID": f"{at}-{market}", "TS": int(T0 + (at if ts is None else ts)), "F": "1"}
        stamp = {"RTS": int(T0 + at), "RTSNS": int(at % 1 * 1e9)}
        self.frame(at, **{"TYPE": "0", "M": exchange, "FSYM": base, "TSYM": quote} | given | stamp | fields)

    def complete(self, at: float, *markets: str) -> None:
        for market in markets or ("btc", "eur"):
            exchange, base, quote = NAMES[market]
            self.frame(at, TYPE="16", MESSAGE="SUBSCRIBECOMPLETE", SUB=f"0~{exchange}~{base}~{quote}")

    def heartbeat(self, at: float) -> None:
        self.frame(at, TYPE="999", MESSAGE="HEARTBEAT", TIMEMS=int((T0 + at) * 1000))

    def records(self, at: float, market: str = "coinbase:BTC-USD") -> list[LiveRecord]:
        self.connection.claim(at, int((T0 + at) * SECOND_US))
        return [record for record in self.connection.drain() if record.market == market]


def after(micros: int | None) -> float:
    """Return the seconds of a time behind the test's beginning."""
    assert micros is not None
    return micros / SECOND_US - T0
