"""The configuration of a simulator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulator.market import LISTED_SINCE_HOUR
from simulator.pairs import Pair


@dataclass(frozen=True, slots=True)
class Config:
    """The options of `python -m simulator`, checked.

    rate: trades per second and market, None for each market's default.
    since: hours since 1970; no market has trades before.
    days_ahead: newest daily candles of each market that are computed before anybody asks.
    listed: more pairs that clients may request like the markets, as with the provider itself.
    venues: those that are served in their own protocols, too; limited: they refuse what is over their limits.
    """

    home: Path
    markets: tuple[Pair, ...]
    listed: tuple[Pair, ...] = ()
    seed: int = 1
    rate: float | None = None
    since: int = LISTED_SINCE_HOUR
    speed: float = 1.0
    replay: Path | None = None
    replay_market: Pair | None = None
    replay_lead: float | None = None
    retention_days: int = 400
    key: str | None = None
    days_ahead: int = 0
    venues: tuple[str, ...] = ()
    limited: bool = True
