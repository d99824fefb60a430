"""What the page of the markets shows of each of them, and the card above them: a handful of statements for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redis.exceptions import RedisError

from config.monitoring.cached_answer import CachedAnswer
from datastore import metrics
from datastore.access.counters import ask_counters
from datastore.api.views.tickers import ticker_json
from datastore.coverage.certificate import FUTURE, MISSING, PROVEN, Run, base_runs
from datastore.coverage.facts import Stretch, facts_of_many
from datastore.db.queries import fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.series.tickers import TickerHead, read_tickers
from datastore.timeframes.intervals import SECOND_US, Interval, moment
from datastore.timeframes.timeframe import MINUTE_S
from ingestion.history.provider_quota import quota_of
from ingestion.providers.table import configured
from streaming.records import Micros

QUIET, GAP = "quiet", "gap"
MINUTE_US = MINUTE_S * SECOND_US
CELL_US = 10 * MINUTE_US  # of the bar of 24 hours
# What a cell shows of the minutes in it: the first of these that occurs, so that a hole of one minute is seen.
WORST_FIRST = (GAP, "pending", "provider", "merged", "live", QUIET, "open")
SPARK_WIDTH, SPARK_HEIGHT = 120, 28  # pixels
FRESH_FOR = 10.0  # times as long as other cached answers: the stream tells what moves


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of the bar of 24 hours: state, first cell and how many."""

    state: str
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One followed market; ticker: as GET tickers shows it."""

    ticker: Mapping[str, Any]
    proof: str | None
    spark: str  # points of a line in SPARK_WIDTH times SPARK_HEIGHT; empty: fewer than two closes
    bars: Sequence[Bar]
    cells: int
    words: str  # the bar, for who does not see it

    @property
    def age_s(self) -> float | None:
        """Return the seconds since the newest proven time."""
        return None if self.ticker["freshness"] is None else self.ticker["freshness"] / 1000


@dataclass(frozen=True, slots=True)
class Board:
    """All followed markets by symbol, and the figures above them."""

    rows: Sequence[BoardRow]
    trades_per_second: float
    gaps: int
    oldest_ms: int | None  # since the newest proven time of the market that is furthest behind
    budget: tuple[str, str, int, int] | None  # the tightest: provider, window, calls left of how many; None: unknown

    @property
    def oldest_s(self) -> float | None:
        """Return the same in seconds."""
        return None if self.oldest_ms is None else self.oldest_ms / 1000


def board() -> Board:
    """Return what is shown now, or was some seconds ago. Raises DatabaseError."""
    return _known.get()


def _read() -> Board:
    tickers = read_tickers()
    heads = [ticker.head for ticker in tickers]
    if not heads:
        return Board([], 0.0, 0, None, tightest_budget())
    ids = [head.market_id for head in heads]
    days = [(moment(start), moment(stop)) for start, stop in (head.window for head in heads)]
    starts, stops = [start for start, _ in days], [stop for _, stop in days]

    proofs = dict(metrics.proofs())
    closes = dict(fetch_all(statement("board", "closes"), {"ids": ids, "starts": starts}))
    silences: dict[int, list[Interval]] = {}
    for market_id, start, stop in fetch_all(
        statement("board", "silences"), {"ids": ids, "starts": starts, "stops": stops}
    ):
        silences.setdefault(market_id, []).append((start, stop))
    minutes = [stop - timedelta(minutes=2) for stop in stops]
    rate = float(fetch_value(statement("board", "trade_rate"), {"ids": ids, "minutes": minutes}))

    rows = []
    runs_of_all = _runs(heads, days)
    for ticker, runs in zip(tickers, runs_of_all, strict=True):
        head = ticker.head
        start, stop = head.window
        rows.append(
            BoardRow(
                ticker_json(ticker),
                proofs.get(head.symbol),
                spark(closes.get(head.market_id) or []),
                bars(runs, silences.get(head.market_id, []), start, stop),
                (stop - start) // CELL_US + 1,
                in_words(runs),
            )
        )
    gaps = sum(run.state == MISSING for runs in runs_of_all for run in runs)
    ages = [row.ticker["freshness"] for row in rows if row.ticker["freshness"] is not None]
    return Board(rows, rate, gaps, max(ages, default=None), tightest_budget())


_known = CachedAnswer(_read, times=FRESH_FOR)


def _runs(heads: Sequence[TickerHead], days: Sequence[tuple[datetime, datetime]]) -> list[list[Run]]:
    stretches = [Stretch(head.market_id, MINUTE_S, *day) for head, day in zip(heads, days, strict=True)]
    return [
        base_runs(facts.evidence, MINUTE_S, *head.window)
        for head, facts in zip(heads, facts_of_many(stretches), strict=True)
    ]


def tightest_budget() -> tuple[str, str, int, int] | None:
    """Return the provider and window of which the smallest part is left: (provider, window, left, limit).

    None while the cache, which counts the calls, is away.
    """
    try:
        found = [
            (provider.name, window, left.calls, left.limit)
            for provider in configured()
            for window, left in quota_of(provider.traits, ask_counters).remaining().items()
        ]
    except RedisError:
        return None
    return min(found, key=lambda one: one[2] / max(one[3], 1), default=None)


def spark(closes: Sequence[float]) -> str:
    """Return closes at equal distances as the points of a line, high ones above. Pure."""
    if len(closes) < 2:
        return ""
    low, high = min(closes), max(closes)
    scale = (SPARK_HEIGHT - 4) / (high - low) if high > low else 0.0
    step = SPARK_WIDTH / (len(closes) - 1)
    return " ".join(
        f"{index * step:.1f},{SPARK_HEIGHT - 2 - (close - low) * scale:.1f}" for index, close in enumerate(closes)
    )


def bars(runs: Iterable[Run], silences: Sequence[Interval], start: Micros, stop: Micros) -> list[Bar]:
    """Return the cells of [start, stop), each with the worst state of its minutes, equal neighbours joined. Pure."""
    found: list[set[str]] = [set() for _ in range((stop - start) // CELL_US + 1)]
    for run in runs:
        state = GAP if run.state == MISSING else "open" if run.state == FUTURE else str(run.state)
        for index in range((run.start - start) // CELL_US, -(-(run.stop - start) // CELL_US)):
            if state not in PROVEN or not _is_silent(silences, start + index * CELL_US):
                found[index].add(state)
            else:
                found[index].add(QUIET)
    joined: list[Bar] = []
    for index, states in enumerate(found):
        state = next((one for one in WORST_FIRST if one in states), "open")
        if joined and joined[-1].state == state:
            joined[-1] = Bar(state, joined[-1].first, joined[-1].count + 1)
        else:
            joined.append(Bar(state, index, 1))
    return joined


def _is_silent(silences: Sequence[Interval], cell: Micros) -> bool:
    return any(low <= cell and cell + CELL_US <= high for low, high in silences)


def in_words(runs: Iterable[Run]) -> str:
    """Return how much of the day is in which state: "97.1 % live, 2.9 % gap". Pure."""
    total: dict[str, int] = {}
    for run in runs:
        state = GAP if run.state == MISSING else str(run.state)
        total[state] = total.get(state, 0) + run.stop - run.start
    whole = sum(total.values()) or 1
    most = sorted(total.items(), key=lambda one: -one[1])
    return ", ".join(f"{100 * length / whole:.1f} % {state}" for state, length in most)
