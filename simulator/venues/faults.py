"""Faults of one venue, on demand: when each ends, in the simulator's time, and what becomes of its trades."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from simulator.venues.ledger import NumberedTrade

TroubleKind = Literal["ratelimit", "ban", "region", "firewall", "maintenance", "busy", "html", "garbage"]
HeartbeatKind = Literal["zero", "ahead", "behind", "none"]
ALL = "*"  # instead of a market: each one


@dataclass(frozen=True, slots=True)
class RestTrouble:
    """What REST answers instead of data until a time (ns); sockets: handshakes are refused with it, too."""

    until: int = 0
    kind: TroubleKind = "busy"
    retry_after: int | None = None
    sockets: bool = False


@dataclass(frozen=True, slots=True)
class Statements:
    """How heartbeats, or frames of candles, lie about the last id until a time (ns)."""

    until: int = 0
    kind: HeartbeatKind = "zero"
    by: int = 1

    def last_id(self, now: int, id: int) -> int | None:
        """Return the id that is sent instead; None: nothing is."""
        if now >= self.until:
            return id
        return {"zero": 0, "ahead": id + self.by, "behind": id - self.by, "none": None}[self.kind]


@dataclass(frozen=True, slots=True)
class Omission:
    """Which trades the socket leaves out until a time (ns): a share of them, or all but the first of one time."""

    until: int
    share: float
    splits: bool

    def leaves_out(self, row: NumberedTrade, before: NumberedTrade | None) -> bool:
        """Return whether it leaves out this row, always the same ones."""
        if self.splits and (before is None or before.ts != row.ts):
            return False
        return _draw(row) < self.share


@dataclass(frozen=True, slots=True)
class Disorder:
    """Which share of the trades comes twice, and as many before the one that they should follow, until a time (ns)."""

    until: int
    share: float

    def of(self, rows: list[NumberedTrade]) -> list[NumberedTrade]:
        """Return the rows as they are sent, always the same way."""
        sent: list[NumberedTrade] = []
        for row in rows:
            drawn = _draw(row)
            if self.share <= drawn < 2 * self.share and sent:
                sent.insert(len(sent) - 1, row)
            else:
                sent += [row, row] if drawn < self.share else [row]
        return sent


def _draw(row: NumberedTrade) -> float:
    """Return a number from 0 to 1 that only depends on the id."""
    return (row.id * 2654435761 >> 7) % 10_000 / 10_000


@dataclass(slots=True)
class Faults:
    """Which faults are on; times in nanoseconds of the simulator's clock, 0 = off; markets by name or ALL."""

    refusing_until: int = 0
    silent_until: int = 0
    maintenance_until: int = 0
    trouble: RestTrouble = RestTrouble()
    statements: Statements = Statements()
    shift: tuple[int, int] = (0, 0)  # until, and by how many trades pages begin further on
    skew: tuple[int, int] = (0, 0)  # until, and by how many ns the venue's clock is off
    lifetime_ns: int | None = None  # how long connections live
    refused: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)  # how many of its newest trades REST has
    omissions: dict[str, Omission] = field(default_factory=dict)
    disorders: dict[str, Disorder] = field(default_factory=dict)
    lose: dict[str, int] = field(default_factory=dict)
    repeat: dict[str, int] = field(default_factory=dict)
    reorder: dict[str, int] = field(default_factory=dict)
    held: dict[str, list[NumberedTrade]] = field(default_factory=dict)  # trades that wait for others to overtake them

    def what_is_sent(
        self, market: str, rows: list[NumberedTrade], now: int
    ) -> tuple[list[NumberedTrade], list[NumberedTrade]]:
        """Return the rows to send, in order, and those that no socket gets."""
        lost = rows[: self._take(self.lose, market, len(rows))]
        sent = rows[len(lost) :]
        omission = self.omissions.get(market) or self.omissions.get(ALL)
        if omission and now < omission.until:
            before = [None, *sent]
            omitted = [row for row, last in zip(sent, before, strict=False) if omission.leaves_out(row, last)]
            lost, gone = lost + omitted, set(omitted)
            sent = [row for row in sent if row not in gone]
        disorder = self.disorders.get(market) or self.disorders.get(ALL)
        if disorder and now < disorder.until:
            sent = disorder.of(sent)
        sent = sent[: self._take(self.repeat, market, len(sent))] + sent
        return self._reordered(market, sent), lost

    def _reordered(self, market: str, rows: list[NumberedTrade]) -> list[NumberedTrade]:
        """Return the rows; the first `reorder` of them come once there are so many, the last one first."""
        held = self.held.pop(market, [])
        wanted = self.reorder.get(market, 0)
        if not wanted and not held:
            return rows
        held += rows
        if len(held) < wanted:
            self.held[market] = held
            return []
        self.reorder.pop(market, None)
        return held[:wanted][::-1] + held[wanted:]

    def _take(self, counts: dict[str, int], market: str, most: int) -> int:
        taken = min(counts.get(market, 0), most)
        if taken:
            counts[market] -= taken
        return taken

    def is_refused(self, market: str, now: int) -> bool:
        """Return whether a subscription of this market is refused."""
        return now < max(self.refused.get(market, 0), self.refused.get(ALL, 0))
