"""An intake that a test feeds frame by frame."""

from __future__ import annotations

import json
from typing import Any

from ingestion.live.clock_estimate import SECOND, ClockEstimate
from ingestion.live.frame_intake import FrameIntake
from streaming.records import LiveRecord

T0 = 1_800_000_000
DAY = 86_400 * SECOND
SUBS = {"0~Coinbase~BTC~USD": "coinbase:BTC-USD", "0~Kraken~BTC~EUR": "kraken:BTC-EUR"}
ETH = "0~Coinbase~ETH~USD"
NAMES = {"btc": ("Coinbase", "BTC", "USD"), "eur": ("Kraken", "BTC", "EUR"), "eth": ("Coinbase", "ETH", "USD")}


class Feed:
    """An intake that is fed by the second; its database clock equals the provider's."""

    def __init__(self) -> None:
        self.clock = ClockEstimate()
        self.clock.observe(T0 * SECOND, T0 * SECOND)
        self.intake = FrameIntake(
            "tick-data/test", SUBS, self.clock, grace=5 * SECOND, retention=30 * DAY, connected=T0 * SECOND
        )

    def frame(self, at: float, **fields: Any) -> None:
        self.intake.take(json.dumps(fields).encode(), int((T0 + at) * SECOND))

    def trade(self, at: float, market: str = "btc", ts: float | None = None, **fields: Any) -> None:
        exchange, base, quote = NAMES[market]
        given = {"P": 100.5, "Q": 1, "ID": f"{at}-{market}", "TS": int(T0 + (at if ts is None else ts)), "F": "1"}
        stamp = {"RTS": int(T0 + at), "RTSNS": int(at % 1 * 1e9)}
        self.frame(at, TYPE="0", M=exchange, FSYM=base, TSYM=quote, **given | stamp | fields)

    def complete(self, at: float, *markets: str) -> None:
        for market in markets or ("btc", "eur"):
            exchange, base, quote = NAMES[market]
            self.frame(at, TYPE="16", MESSAGE="SUBSCRIBECOMPLETE", SUB=f"0~{exchange}~{base}~{quote}")

    def heartbeat(self, at: float) -> None:
        self.frame(at, TYPE="999", MESSAGE="HEARTBEAT", TIMEMS=int((T0 + at) * 1000))

    def records(self, at: float, market: str = "coinbase:BTC-USD") -> list[LiveRecord]:
        self.intake.watermarks(at, int((T0 + at) * SECOND))
        return [record for record in self.intake.drain() if record.market == market]


def after(micros: int | None) -> float:
    """Return the seconds of a time behind the test's beginning."""
    assert micros is not None
    return micros / SECOND - T0
