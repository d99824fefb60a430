"""Candles: rows of one series, with the certificate that says which of them are proven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from candlekeep_client.certificate import Certificate, certificate_of
from candlekeep_client.tables import Kind, Table
from candlekeep_client.times import from_ms

Source = Literal["live", "provider", "merged", "partial"]


@dataclass(frozen=True, slots=True)
class Candle:
    """One bucket in which something was traded; time: when it begins.

    quote_volume and trades are None where the provider, whose candle it is, does not count them. closed: the bucket is
    over and proven. revision rises with every change after that.
    """

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal | None
    trades: int | None
    source: Source
    closed: bool
    revision: int

    @classmethod
    def of(cls, cells: Sequence[Any]) -> Candle:
        """Return the candle in a row of the API."""
        time, *prices, volume, quote_volume, trades, source, closed, revision = cells
        first, high, low, close = map(Decimal, prices)
        quote = None if quote_volume is None else Decimal(quote_volume)
        return cls(from_ms(time), first, high, low, close, Decimal(volume), quote, trades, source, closed, revision)


class Candles(Table[Candle]):
    """A range of candles, oldest first, and its certificate."""

    KINDS: ClassVar[Mapping[str, Kind]] = {
        "time": Kind.MILLISECONDS,
        **dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), Kind.DECIMAL),
        "trades": Kind.WHOLE,
        "source": Kind.TEXT,
        "closed": Kind.FLAG,
        "revision": Kind.WHOLE,
    }

    def __init__(self, cells: Sequence[Sequence[Any]], certificate: Certificate) -> None:
        super().__init__(cells)
        self.certificate = certificate

    @classmethod
    def of(cls, answers: Sequence[Mapping[str, Any]]) -> Candles:
        """Return the candles of an answer's pages, in order."""
        return cls([row for answer in answers for row in answer["candles"]], certificate_of(answers))

    @property
    def cursor(self) -> str:
        """Return the place from which `follow` continues without a hole."""
        return self.certificate.cursor

    def metadata(self) -> dict[str, Any]:
        """Return the certificate as JSON."""
        return self.certificate.as_json()

    def _record(self, cells: Sequence[Any]) -> Candle:
        return Candle.of(cells)

    def __repr__(self) -> str:
        found = self.certificate
        gaps = "1 gap" if len(found.gaps) == 1 else f"{len(found.gaps)} gaps"
        state = "complete" if found.complete else gaps
        return f"<Candles of {found.market} {found.timeframe}: {len(self):,} rows, {state}>"
