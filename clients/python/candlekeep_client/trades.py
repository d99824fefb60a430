"""Trades: rows of one market in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from candlekeep_client.tables import Kind, Table
from candlekeep_client.times import EPOCH, MICROSECOND, from_ms


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade; time to the microsecond; side: the taker's, None if the venue does not say; received: the provider's
    time when it came first."""

    time: datetime
    trade_id: str
    seq: int | None
    side: Literal["buy", "sell"] | None
    price: Decimal
    amount: Decimal
    received: datetime


class Trades(Table[Trade]):
    """Trades of one market, oldest first. They carry no certificate: `coverage` says what of their time is proven."""

    KINDS: ClassVar[Mapping[str, Kind]] = {
        "time": Kind.MICROSECONDS,
        "trade_id": Kind.TEXT,
        "seq": Kind.WHOLE,
        "side": Kind.TEXT,
        "price": Kind.DECIMAL,
        "amount": Kind.DECIMAL,
        "received": Kind.MILLISECONDS,
    }

    def __init__(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Take an answer's pages, in order."""
        first = answers[0]
        # Without the milliseconds, which the microseconds behind them say again.
        super().__init__([row[1:] for answer in answers for row in answer["trades"]])
        self.market: str = first["market"]
        self.provider: str | None = first["provider"]
        self.simulated: bool = first["simulated"]
        self.watermark = from_ms(first["watermark"])
        self.cursor: str | None = answers[-1]["cursor"]  # behind the last trade; None if there is none

    def metadata(self) -> dict[str, Any]:
        """Return market, provider, and whether its prices are simulated."""
        return {"market": self.market, "provider": self.provider, "simulated": self.simulated}

    def _record(self, cells: Sequence[Any]) -> Trade:
        micros, trade_id, seq, side, price, amount, received = cells
        time = EPOCH + micros * MICROSECOND
        return Trade(time, trade_id, seq, side, Decimal(price), Decimal(amount), from_ms(received))

    def __repr__(self) -> str:
        return f"<Trades of {self.market}: {len(self):,} rows>"
