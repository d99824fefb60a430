"""What an intake holds of one market, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingestion.sequence import SequenceCheck
from streaming.records import Replayed


@dataclass(slots=True)
class MarketFeed:
    """One market on one connection, from one subscription to its end."""

    market: str
    connected: int  # provider time when the socket opened, or when this market was subscribed to on an open one
    n: int = 0  # of the newest record
    subscribed: bool = False
    start: int | None = None  # of the open span
    stop: int | None = None  # what it has proven so far
    ended_seen: int = 0  # newest stamp when the last span ended
    ended_now: int = 0  # provider time then
    traded: bool = False  # since the last watermark
    replayed: list[Replayed] = field(default_factory=list)
    replay_broken: bool = False  # a replayed trade may be missing, so the replay proves no bridge
    sequence: SequenceCheck = field(default_factory=SequenceCheck)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A frame or trade that goes to the dead letters."""

    market: str | None
    reason: str
    raw: bytes
