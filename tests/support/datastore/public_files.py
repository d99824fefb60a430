"""Files as Binance's public data has them, made up: aggregates and candles of some minutes of one day, zipped."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from django.core.management import call_command

SYMBOL = "binance:BTC-USDT"
DAY_MS = 1_704_412_800_000  # 2024-01-05
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate of trades; ms since 1970."""

    a: int
    first: int
    last: int
    ms: int
    price: str
    amount: str
    sold: bool  # by the taker

    def line(self, unit: int = 1) -> str:
        """Return it as a line of a file; unit: how many of its times' units are a millisecond."""
        ts = self.ms * unit + (self.a * 7 % 1000 if unit == 1000 else 0)
        end = f"{ts},{self.sold},True"
        return f"{self.a},{self.price},{self.amount},{self.first},{self.last},{end}"

    def frame(self) -> dict[str, Any]:
        """Return it as the socket sends it."""
        return {
            "e": "aggTrade", "E": self.ms + 3, "s": "BTCUSDT", "a": self.a, "p": self.price, "q": self.amount,
            "f": self.first, "l": self.last, "T": self.ms, "m": self.sold, "M": True,
        }  # fmt: skip


def made_trades(
    minutes: int = 3, per_minute: int = 40, first_ms: int = DAY_MS, a: int = 500, id: int = 900
) -> list[Aggregate]:
    """Return aggregates of some minutes, several of one time among them, in the order of their ids."""
    rng, found, price = random.Random(a), list[Aggregate](), 4_400_000
    for place in range(minutes * per_minute):
        ms = first_ms + place * MINUTE_MS // per_minute // 3 * 3
        price += rng.randint(-40, 40)
        last = id + rng.choice((0, 0, 0, 2))
        amount = f"{Decimal(rng.randint(1, 10**8)) / 10**8:f}"
        found.append(Aggregate(a + place, id, last, ms, f"{Decimal(price) / 100:f}0", amount, rng.random() < 0.5))
        id = last + 1
    return found


def kline(minute: int, prices: Sequence[str] = ("10.0", "12.5", "9", "11"), volume: str = "3.5", unit: int = 1) -> str:
    """Return a line of a file: the candle of a minute of the day."""
    start, stop = (DAY_MS + minute * MINUTE_MS) * unit, (DAY_MS + (minute + 1) * MINUTE_MS) * unit - 1
    quote, trades = ("38.5", 7) if Decimal(volume) else ("0", 0)
    return f"{start},{','.join(prices)},{volume},{stop},{quote},{trades},1.1,12.1,0"


def zipped(folder: Path, name: str, lines: Iterable[str], *, checksum: bool = False) -> Path:
    """Write lines as the CSV in a zip of this name; checksum: with the file that has its SHA-256."""
    text, path = "".join(f"{line}\n" for line in lines), folder / name
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr(path.with_suffix(".csv").name, text)
    if checksum:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(f"{name}.CHECKSUM").write_text(f"{digest}  {name}\n")
    return path


class Terminal(io.StringIO):
    """An output that redraws."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def run(name: str, *arguments: object, to: io.StringIO | None = None) -> str:
    """Run a command, and return what it prints."""
    out = to or io.StringIO()
    call_command(name, *map(str, arguments), stdout=out)
    return out.getvalue()
