"""Quarantine: records that could not be stored, with their bytes and the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from datastore.models import DeadLetter


@dataclass(frozen=True, slots=True)
class Letter:
    """One record for the quarantine; position is the broker's name of its place, empty where it has none."""

    topic: str
    market: str | None
    reason: str
    raw: bytes
    position: str = ""


def bury_all(letters: Iterable[Letter]) -> None:
    """Keep records that could not be stored; a place that is already kept is left as it is."""
    DeadLetter.objects.bulk_create([_row(letter) for letter in letters], ignore_conflicts=True)


def _row(letter: Letter) -> DeadLetter:
    # PostgreSQL's text holds no zero byte; the raw bytes keep it.
    market = None if letter.market is None else letter.market.replace("\0", "")
    return DeadLetter(
        topic=letter.topic,
        market=market,
        reason=letter.reason.replace("\0", ""),
        raw=letter.raw,
        position=letter.position,
    )
