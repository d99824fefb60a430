"""Markets of simulated venues under faults: the venue's own list of trades against what is served."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.support.chaos.judge import Claims
from tests.support.e2e.platform import Platform
from tests.support.polling import PATIENT_S, until

MINUTE_MS = 60_000
MISSING = re.compile(r"([\d,]+) trades? missing, ids? (\d+)(?: to (\d+))?")
Candles = Mapping[int, list[str]]


class LiveClaims(Claims):
    """The claims of live candles only: those of a venue's own candles are its own."""

    def note(self, market: str, timeframe: str, body: dict[str, Any], at: float) -> None:
        """Take what an answer of GET candles claims to be live."""
        live = [part for part in body["coverage"] if part["state"] == "live"]
        super().note(market, timeframe, body | {"coverage": live}, at)


@dataclass(frozen=True, slots=True)
class Followed:
    """A market of a venue on a running platform, from a first minute on (ms) that ids prove."""

    platform: Platform
    market: str
    start: int

    def parts(self, stop: int) -> list[dict[str, Any]]:
        """Return the certificate's segments of [start, stop)."""
        asked = {"from": self.start, "to": stop, "wait": 0, "limit": 5000}
        return list(self.platform.candles(self.market, **asked)["coverage"])

    def unproven(self, stop: int) -> list[tuple[Any, ...]]:
        """Return the parts of [start, stop) that ids do not prove."""
        body = self.platform.candles(self.market, **{"from": self.start, "to": stop, "wait": 0, "limit": 5000})
        found = [(part["from"], part["state"], part["reason"]) for part in body["coverage"] if part["proof"] != "ids"]
        return found or ([] if body["complete"] and body["complete_until"] >= stop else [(stop, "open", None)])

    def missing(self) -> tuple[int, int] | None:
        """Return the first and the last id that the certificate names as missing, None if it names none."""
        now = round(self.platform.provider_now() * 1000)
        told = [MISSING.search(part["reason"] or "") for part in self.parts(now + MINUTE_MS)]
        found = [(int(each[2]), int(each[3] or each[2])) for each in told if each]
        return (min(first for first, _ in found), max(last for _, last in found)) if found else None

    def served(self, stop: int) -> Candles:
        """Return the live candles of [start, stop) as they are served."""
        asked = {"from": self.start, "to": stop, "wait": 0, "limit": 5000}
        rows = self.platform.candles(self.market, **asked)["candles"]
        assert {row[8] for row in rows} <= {"live"}, self.market
        return {row[0]: [plain(Decimal(cell)) for cell in row[1:7]] for row in rows}

    def true(self, stop: int) -> Candles:
        """Return the candles of [start, stop) that the venue's own list of trades makes."""
        return rolled_up(trades_of(self.platform, self.market, self.start, stop))


def followed(platform: Platform, market: str, seconds: float = 150) -> Followed:
    """Wait until ids prove a whole minute of the market, and return it from that minute on."""

    def first() -> int | None:
        parts = platform.candles(market, limit=100, wait=0)["coverage"]
        return next((part["from"] for part in parts if part["proof"] == "ids"), None)

    start = until(f"{market} proven by ids", first, seconds, longest_pause=PATIENT_S)
    return Followed(platform, market, start)


def trades_of(platform: Platform, market: str, start: int, stop: int) -> list[list[Any]]:
    """Return the venue's own list of the trades of [start, stop) (ms): id, first, last, ns, price, amount, side."""
    asked: dict[str, str | int] = {"market": market, "from": start * 1_000_000, "to": stop * 1_000_000}
    return sorted(platform.provider.get("/control/trades", params=asked).json()["trades"])


def rolled_up(trades: Iterable[list[Any]]) -> Candles:
    """Return open, high, low, close, volume and quote volume by minute (ms), of trades in the order of their ids."""
    minutes: dict[int, list[tuple[Decimal, Decimal]]] = {}
    for _, _, _, ns, price, amount, _ in trades:
        minutes.setdefault(ns // 1_000_000 // MINUTE_MS * MINUTE_MS, []).append((Decimal(price), Decimal(amount)))
    found = {}
    for at, of in minutes.items():
        prices = [price for price, _ in of]
        sums = sum((amount for _, amount in of), Decimal()), sum((price * amount for price, amount in of), Decimal())
        found[at] = [plain(each) for each in (prices[0], max(prices), min(prices), prices[-1], *sums)]
    return found


def digest(candles: Candles) -> str:
    """Return one SHA-256 over candles."""
    return hashlib.sha256(json.dumps(sorted(candles.items())).encode()).hexdigest()


def plain(number: Decimal) -> str:
    """Return a number's only spelling."""
    return f"{number.normalize():f}"


def sent_ids(platform: Platform, market: str) -> list[tuple[int, int, int]]:
    """Return first and last id of each trade that a socket was sent, and when (ns), in that order."""
    lines = (json.loads(line) for line in platform.sent() if '"trade"' in line and f'"{market}"' in line)
    return [(row["first"], row["last"], row["at"]) for row in lines if row["event"] == "trade" and row.get("venue")]
