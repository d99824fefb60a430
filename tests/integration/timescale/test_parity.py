"""The same trades on plain PostgreSQL and on TimescaleDB: every row, version, certificate and answer is equal text."""

from __future__ import annotations

from hashlib import sha256

import pytest

from datastore.engines.rollups import Plain, rollups
from datastore.engines.timescale import Timescale
from datastore.models import Tick
from datastore.reference.markets import ensure_markets
from datastore.timeframes.utc_days import floor_to
from tests.datastore.conftest import ProviderTime
from tests.integration.timescale.conftest import On
from tests.support.datastore.records import SECOND, moment
from tests.support.timescale.feed import BEGIN, DAY, DAYS, END, MARKETS, Feed
from tests.support.timescale.parity_log import aggregates, closed_candles, count, name_series, play, state

STALE = 90 * SECOND  # the default
PACKED = BEGIN + (DAYS - 1) * DAY + DAY // 8  # by then the first day is over for a day: its chunk is packed
SPAN = moment(BEGIN - DAY), moment(END + DAY)


def run(engine: str, clock: ProviderTime) -> list[str]:
    """Play the feed; return all that was seen."""
    markets = ensure_markets(MARKETS)
    name_series(markets)
    by_symbol = {market.symbol: market for market in markets}
    told: list[str] = []
    packed = 0
    for batch in Feed().batches():
        told += play(batch, clock, by_symbol)
        if batch.now >= PACKED and not packed:
            packed = rollups().pack(moment(batch.now))
        rollups().refresh()
    assert packed == (engine == "timescale")
    late = Tick.objects.filter(ts__lt=moment(BEGIN + DAY), received_at__gt=moment(PACKED))
    assert late.count() > 5, "late trades must meet a packed chunk"
    told += state(clock, END, *SPAN)
    print(f"\n{engine}: {count('tick')} trades, {count('candle')} candles, {len(told)} lines seen", end="")
    deleted = rollups().delete_old_trades(moment(END), 1)
    assert sorted(deleted) == sorted(MARKETS)
    told += [f"deleted {symbol} {deleted[symbol]}" for symbol in MARKETS]
    return told + state(clock, END, *SPAN)


@pytest.mark.usefixtures("name")
def test_both_engines_say_the_same_to_the_letter(on: On, provider_time: ProviderTime) -> None:
    said = {}
    for engine, kind in (("plain", Plain), ("timescale", Timescale)):
        with on(engine):
            assert type(rollups()) is kind
            said[engine] = run(engine, provider_time)
    differing = [pair for pair in zip(said["plain"], said["timescale"], strict=True) if pair[0] != pair[1]]
    assert differing == []
    seen = sha256("\n".join(said["plain"]).encode()).hexdigest()
    print(f"\nequal: {len(said['plain'])} lines, SHA-256 {seen}")


@pytest.mark.usefixtures("timescale")
def test_the_aggregates_hold_every_closed_bucket_and_no_open_one(provider_time: ProviderTime) -> None:
    by_symbol = {market.symbol: market for market in ensure_markets(MARKETS)}
    held = 0
    for batch in Feed().batches():
        play(batch, provider_time, by_symbol)
        provider_time.set(batch.now)
        Timescale().refresh()
        ends = {seconds: floor_to(moment(batch.now - STALE), seconds) for seconds in (60, 3600, 86_400)}
        assert aggregates() == closed_candles(ends)
        held = max(held, len(aggregates()))
    print(f"\naggregates: {held} candles, each the table's", end="")
    assert held > 1000
