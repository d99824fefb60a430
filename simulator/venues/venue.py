"""One venue at run time: its markets, clock, faults, limits and counts. What is peculiar to one is in its package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

from simulator.pairs import Pair
from simulator.provider import Provider
from simulator.trades import SECOND_NS, Source
from simulator.venues.faults import Faults
from simulator.venues.ledger import Ledger
from simulator.venues.limits import Limit


@dataclass(frozen=True, slots=True)
class Market:
    """One market of a venue: its name on the socket and in REST, and its trades."""

    name: str
    pair: Pair
    source: Source
    ledger: Ledger


@dataclass
class Venue:
    """A venue that serves the markets of its name; `limited`: it refuses what is over its limits."""

    name: str
    provider: Provider
    markets: Mapping[str, Market]
    limits: Mapping[str, Limit]
    limited: bool = True
    faults: Faults = field(default_factory=Faults)
    calls: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    rest_url: str = ""
    ws_url: str = ""
    computing: Lock = field(default_factory=Lock)  # one page of history at a time, so that the feed gets its turns

    def now(self) -> int:
        """Return the simulator's time in ns: what has been traded by then is known."""
        return self.provider.now()

    def shown(self) -> int:
        """Return the time that the venue's clock shows."""
        until, offset = self.faults.skew
        now = self.provider.now()
        return now + offset if now < until else now

    def wall(self) -> float:
        """Return the wall clock's time in seconds, of which the limits are."""
        return self.provider.clock.read() / SECOND_NS

    def take(self, limit: str, weight: int = 1) -> bool:
        """Count against a limit; return False if it is exceeded and the venue enforces its limits."""
        return self.limits[limit].take(self.wall(), weight) or not self.limited

    def in_maintenance(self, now: int) -> bool:
        """Return whether the venue does not trade at a time (ns)."""
        return now < self.faults.maintenance_until

    def known(self, market: Market) -> tuple[int, int]:
        """Return the numbers [first, stop) of the rows that REST has now."""
        stop = market.ledger.count(self.now())
        kept = self.faults.kept.get(str(market.pair))
        return (0 if kept is None else max(0, stop - kept)), stop

    def shifted(self, number: int) -> int:
        """Return where a page begins that should begin with this number."""
        until, by = self.faults.shift
        return number + by if self.now() < until else number


def iso(ns: int) -> str:
    """Return a time as text with microseconds, finer digits cut off."""
    seconds, rest = divmod(ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
