"""Transitions that an actor in memory has made and not yet saved for good."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class BufferedTransition:
    """One transition, or `count` equal ones of a minute; those that stand alone are never summed up."""

    event: str  # upper case, as in the charts
    source: str
    target: str
    first_at: datetime
    last_at: datetime
    count: int = 1
    alone: bool = False
    reason: str = ""
    by: str = ""
    uncommitted: bool = False  # made inside a transaction that was open

    @property
    def minute(self) -> datetime | None:
        """Return the minute whose row counts this entry, None for a row of its own."""
        return None if self.alone else self.first_at.replace(second=0, microsecond=0)


@dataclass(slots=True)
class TransitionBuffer:
    """Entries that wait for a save (`pending`), or for the commit of the transaction that saved them (`joined`)."""

    pending: list[BufferedTransition] = field(default_factory=list)
    joined: list[BufferedTransition] = field(default_factory=list)

    def rows(self) -> list[BufferedTransition]:
        """Return the pending entries, equal ones of a minute as one."""
        runs: dict[object, BufferedTransition] = {}
        for number, entry in enumerate(self.pending):
            key = number if entry.alone else (entry.event, entry.source, entry.target, entry.minute)
            known = runs.get(key)
            runs[key] = entry if known is None else replace(known, count=known.count + 1, last_at=entry.last_at)
        return list(runs.values())

    def saved(self, joined: bool) -> None:
        """Note that the pending entries were written, by an open transaction or for good."""
        if joined:
            self.joined += self.pending
        self.pending = []

    def committed(self) -> None:
        """Note that the transaction of the joined entries has committed."""
        self.joined = []

    def undone(self) -> str | None:
        """Take back what a failed transaction made; return the state from before it, None where it made nothing.

        What was made before the transaction, and only written by it, waits for a save again.
        """
        entries = self.joined + self.pending
        self.joined = []
        self.pending = [entry for entry in entries if not entry.uncommitted]
        return next((entry.source for entry in entries if entry.uncommitted), None)
