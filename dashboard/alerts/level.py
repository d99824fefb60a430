"""How urgent an alert is, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class Level(IntEnum):
    """How urgent it is."""

    NOTICE = 1  # worth a look
    WARNING = 2  # data is late or missing; Candlekeep is at it
    ERROR = 3  # does not mend itself, or nobody can rely on the data

    @property
    def word(self) -> str:
        """Return the word for it, which is also its class of style."""
        return self.name.lower()


class Unchecked(Exception):
    """This cannot be looked at from here."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong; url: the page that shows it; since: when it began, None if unknown."""

    level: Level
    title: str
    detail: str
    remedy: str
    url: str
    since: datetime | None = None
