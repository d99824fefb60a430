"""What one market's feed claims of itself, record by record."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ingestion.live.market_feed import MarketFeed
from ingestion.providers.events import TradeSeen
from tests.support.datastore.records import BTC, FEED, NOON, SECOND


def replayed(ts: int, number: int) -> TradeSeen:
    return TradeSeen(
        sub="0~Coinbase~BTC~USD",
        ts=ts,
        id=str(number),
        price=Decimal(100),
        amount=Decimal(1),
        side=1,
        number=number,
        replayed=True,
    )


def opened_after(times: list[int], start: int) -> tuple[int, list[int]]:
    """Return where a span begins that is opened at `start` after a replay, and the replay's times in its record."""
    feed = MarketFeed(BTC, FEED, NOON - SECOND, 5 * SECOND)
    for number, ts in enumerate(times, 1):
        feed.trade(replayed(ts, number), NOON)
    record = feed.open(start)
    assert feed.start == record.start
    return record.start, [trade.ts for trade in record.replayed]


def test_a_span_begins_behind_a_replay_that_is_ahead_of_our_estimate() -> None:
    assert opened_after([NOON, NOON + 9, NOON + 4], NOON) == (NOON + 10, [NOON, NOON + 9, NOON + 4])


def test_a_span_begins_where_it_is_opened_if_the_replay_is_older_or_there_is_none() -> None:
    assert opened_after([NOON - 9], NOON)[0] == NOON
    assert opened_after([], NOON)[0] == NOON


@given(st.lists(st.integers(NOON - 60 * SECOND, NOON + 60 * SECOND), max_size=30), st.integers(NOON, NOON + SECOND))
def test_no_replayed_trade_lies_in_the_span_that_follows(times: list[int], start: int) -> None:
    begins, _ = opened_after(times, start)
    assert begins >= max([start, *(ts + 1 for ts in times)])
