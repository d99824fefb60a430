"""Trace which functions of the product a GET of candles passes through."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import FrameType
from typing import Any, NamedTuple

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from benchmarks.measure import PACKAGES, ROOT
from datastore.ingest import market_cache
from datastore.reference.markets import ensure_markets
from tests.support.api.rows import BEGAN, Feed, provider_runs
from tests.support.datastore.records import store

WARM_UP, TRACED = "coinbase:ETH-USD", "coinbase:BTC-USD"
BEGIN = "answering_early.<locals>.answer"  # the first that knows what is asked for
FOLDERS = tuple(f"{ROOT / package}/" for package in PACKAGES)


class Station(NamedTuple):
    """A function that was entered."""

    file: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.file.removeprefix(f'{ROOT}/')}:{self.line} {self.name}"


def trace(call: Callable[[], object]) -> list[Station]:
    """Return the product's functions that a call enters in this thread, each once, in the order of their first entry.

    Lambdas and comprehensions are left out: which of them are functions of their own depends on Python's version.
    """
    entered: dict[Station, None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(FOLDERS) and not code.co_name.startswith("<"):
            entered.setdefault(Station(code.co_filename, code.co_firstlineno, code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return list(entered)


def of_candles() -> dict[str, list[Station]]:
    """Return the stations of GET candles for a market with stored candles: cold, then hot. Needs an empty database."""
    provider_runs()
    ensure_markets([WARM_UP, TRACED])
    for symbol in (WARM_UP, TRACED):
        _store_ten_minutes(symbol)
    market_cache.write_followed()  # an answer is given from the cache only while its market is confirmed there
    client = Client(SERVER_NAME="127.0.0.1")
    for _ in range(2):  # what a process does once, for its first answers, is left out
        _answer(client, WARM_UP)
    cold, queries = _answer(client, TRACED)
    assert queries, "the first answer was not read from the database"
    for _ in range(10):  # a cached answer does not outlive its minute, which may end right now
        market_cache.write_followed()  # the confirmation lasts for two seconds, which a busy machine may need
        hot, queries = _answer(client, TRACED)
        if not queries:
            return {"cold": cold, "hot": hot}
    raise RuntimeError("no answer came from the cache")


def _store_ten_minutes(symbol: str) -> None:
    """Store a trade of a market, and that its feed is proven over all that the question is about."""
    feed, now = Feed(symbol), (datetime.now(UTC) - BEGAN).total_seconds()
    begin = now // 60 * 60 - 600
    store(feed.opened(begin), feed.trade(begin + 300, "100"), feed.watermark(now - 0.5, begin))


def _answer(client: Client, symbol: str) -> tuple[list[Station], int]:
    """Ask for a market's newest candles; return the stations and how many queries reached the database."""

    def ask() -> None:
        response = client.get(f"/api/v1/candles?market={symbol}&timeframe=1m&limit=8")
        assert response.status_code == 200, response.content

    with CaptureQueriesContext(connection) as queries:
        return trace(ask), len(queries)


AIMS = {"cold": 45, "hot": 15}  # functions


def report(stations: dict[str, list[Station]], listed: bool) -> Iterator[str]:
    """Yield how many stations there are, and which if they are to be listed."""
    for kind, passed in stations.items():
        begin = next(place for place, station in enumerate(passed) if station.name == BEGIN)
        inside = f"from early_answer on {_counted(passed[begin:])} (aim {AIMS[kind]})"
        yield f"GET candles, {kind:<5}       {_counted(passed)}; {inside}"
        if listed:
            yield from (f"  {station}" for station in passed)


def _counted(stations: list[Station]) -> str:
    return f"{len(stations)} stations in {len({station.file for station in stations})} files"
