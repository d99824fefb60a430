"""What ends a market's span, or refuses a frame."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.timeframes.intervals import SECOND_US
from streaming.records import FeedClosed, Trade, Watermark
from tests.support.ingestion.intake_bench import NAMES, T0, Feed, after


@pytest.mark.parametrize(
    "broken", [{"P": 0}, {"P": -1}, {"Q": -1}, {"P": "x"}, {"TS": None}, {"P": None}, {"ts": 100}, {"ID": "a\x00"}]
)
def test_a_refused_trade_ends_its_markets_span_and_no_other(broken: dict[str, Any]) -> None:
    feed = Feed()
    feed.complete(1)
    feed.heartbeat(30)
    feed.records(30)
    feed.trade(31, **broken)
    feed.connection.claim(31, (T0 + 31) * SECOND_US)
    closed = [record for record in feed.connection.drain() if isinstance(record, FeedClosed)]
    assert [(record.market, after(record.stop)) for record in closed] == [("coinbase:BTC-USD", 25)]
    assert [(item.market, bool(item.refusal.detail)) for item in feed.connection.rejected] == [
        ("coinbase:BTC-USD", True)
    ]


def test_an_unreadable_frame_ends_every_span_and_is_kept() -> None:
    feed = Feed()
    feed.complete(1)
    feed.heartbeat(30)
    feed.records(30)
    feed.connection.take_frame(b"\x00garbage", (T0 + 31) * SECOND_US)
    closed = [record.market for record in feed.connection.drain() if isinstance(record, FeedClosed)]
    assert sorted(closed) == ["coinbase:BTC-USD", "kraken:BTC-EUR"]
    assert feed.connection.rejected[0].raw == b"\x00garbage"


def test_a_trade_of_a_market_nobody_asked_for_ends_no_span() -> None:
    feed = Feed()
    feed.complete(1)
    feed.frame(2, TYPE="0", M="Foo", FSYM="A", TSYM="B", P=1, Q=1, TS=T0 + 2, F="1")
    feed.frame(2, TYPE="0", M="Foo", FSYM="A", TSYM="B", P="no", Q=1, TS=T0 + 2, F="1")
    assert not [record for record in feed.connection.drain() if isinstance(record, FeedClosed)]
    assert len(feed.connection.rejected) == 2


def test_a_new_span_begins_only_behind_a_stamp_younger_than_the_loss() -> None:
    feed = Feed()
    feed.complete(1)
    feed.heartbeat(30)
    feed.records(30)
    feed.trade(40, P=-1)
    feed.records(42)
    feed.trade(50)
    (trade, anew) = feed.records(50)
    assert isinstance(trade, Trade)
    assert isinstance(anew, Watermark)
    assert after(anew.start) == 50
    feed.heartbeat(60)
    (mark,) = feed.records(60)
    assert isinstance(mark, Watermark)
    assert (after(mark.start), after(mark.until)) == (50, 55)


def test_a_missing_number_ends_the_span_after_grace_and_a_late_one_does_not() -> None:
    feed = Feed()
    feed.complete(1)
    for at, seq in ((2, 10), (3, 12), (4, 11), (5, 13), (6, 15)):
        feed.trade(at, CCSEQ=seq)
    feed.heartbeat(10)
    assert not [record for record in feed.records(10) if isinstance(record, FeedClosed)]
    feed.heartbeat(12)
    (closed,) = [record for record in feed.records(12) if isinstance(record, FeedClosed)]
    assert closed.reason == "the provider's numbering lacks 1 trade"


def test_a_numbering_that_begins_anew_ends_the_span() -> None:
    feed = Feed()
    feed.complete(1)
    feed.trade(2, CCSEQ=1_000_000)
    feed.trade(3, CCSEQ=5)
    feed.trade(4, CCSEQ=6)
    feed.heartbeat(30)
    assert [type(record) for record in feed.records(30) if isinstance(record, FeedClosed)] == [FeedClosed]


def test_a_closed_connection_ends_every_span_at_its_last_stop() -> None:
    feed = Feed()
    feed.complete(1)
    feed.heartbeat(30)
    feed.records(30)
    feed.connection.end_spans("socket lost")
    closed = feed.connection.drain()
    assert [(type(record), after(record.stop)) for record in closed] == [(FeedClosed, 25)] * 2  # type: ignore[union-attr]


@pytest.mark.parametrize("raw", [b'{"TYPE":"0","X":' + b"[" * 100_000, b'{"TYPE":"0","TS":' + b"9" * 5_000])
def test_no_frame_stops_the_intake(raw: bytes) -> None:
    feed = Feed()
    feed.connection.take_frame(raw, T0 * SECOND_US)
    assert [item.raw for item in feed.connection.rejected] == [raw]


def test_a_second_made_of_impossible_nanoseconds_is_refused() -> None:
    feed = Feed()
    feed.trade(1, TSNS=10**400)
    assert [item.refusal.detail for item in feed.connection.rejected] == ["a trade without a time"]


def test_trades_refused_as_old_by_a_clock_that_jumped_are_not_claimed() -> None:
    feed = Feed()
    feed.complete(1)
    feed.heartbeat(10)
    feed.records(10)
    jump = 31 * 86_400
    feed.frame(20 + jump, TYPE="999", TIMEMS=(T0 + 20) * 1000)
    exchange, base, quote = NAMES["btc"]
    feed.frame(20 + jump, TYPE="0", M=exchange, FSYM=base, TSYM=quote, P=1, Q=1, ID="x", TS=T0 + 20, F="1")
    feed.frame(40 + jump, TYPE="999", TIMEMS=(T0 + 40) * 1000)
    found = feed.records(40 + jump)
    assert feed.connection.rejected
    assert max(after(record.stop) for record in found if isinstance(record, FeedClosed)) == 5
    assert all(after(record.start) > 20 for record in found if isinstance(record, Watermark))


def test_an_ended_subscription_ends_the_connection() -> None:
    feed = Feed()
    feed.complete(1)
    feed.frame(5, TYPE="17", MESSAGE="UNSUBSCRIBECOMPLETE", SUB="0~Coinbase~BTC~USD")
    assert feed.connection.refusal is not None
    assert "ended the subscription" in feed.connection.refusal.reason


def test_a_number_that_is_missed_later_takes_back_what_was_claimed_since_the_trade_before_it() -> None:
    feed = Feed()
    feed.complete(1)
    feed.trade(20, CCSEQ=10)
    for at in (30, 60, 90):
        feed.heartbeat(at)
    (_, *marks) = [record for record in feed.records(90) if isinstance(record, Trade | Watermark)]
    assert [after(mark.until) for mark in marks if isinstance(mark, Watermark)] == [85]
    feed.trade(100, CCSEQ=12)  # number 11 was traded in between, and never comes
    feed.heartbeat(106)
    (closed,) = [record for record in feed.records(106) if isinstance(record, FeedClosed)]
    assert (after(closed.certain), closed.reason) == (15, "the provider's numbering lacks 1 trade")


def test_a_number_is_certain_only_since_the_providers_own_stamp_of_the_trade_before() -> None:
    feed = Feed()
    feed.complete(1)
    feed.heartbeat(60)
    feed.trade(61, CCSEQ=10, RTS=T0 + 20)  # it waited in the provider's queue, as may the lost one behind it
    feed.trade(70, CCSEQ=12)
    feed.heartbeat(76)
    (closed,) = [record for record in feed.records(76) if isinstance(record, FeedClosed)]
    assert after(closed.certain) == 15


@pytest.mark.parametrize("lost", [20_000, 1 - 20_000])
def test_a_numbering_that_jumps_out_of_reach_takes_back_too(lost: int) -> None:
    feed = Feed()
    feed.complete(1)
    feed.trade(20, CCSEQ=100_000)
    feed.heartbeat(60)
    feed.records(60)
    feed.trade(61, CCSEQ=100_000 + lost)
    (closed,) = [record for record in feed.records(61) if isinstance(record, FeedClosed)]
    assert after(closed.certain) == 15


def test_a_connection_that_is_lost_before_a_missing_number_is_overdue_takes_back_too() -> None:
    feed = Feed()
    feed.complete(1)
    feed.trade(20, CCSEQ=10)
    feed.heartbeat(60)
    feed.records(60)
    feed.trade(61, CCSEQ=12)
    feed.connection.end_spans("socket lost")
    (_, closed, _) = feed.connection.drain()
    assert isinstance(closed, FeedClosed)
    assert (after(closed.certain), closed.reason) == (15, "socket lost")


def test_a_missing_number_takes_back_what_a_span_that_ended_before_had_claimed() -> None:
    feed = Feed()
    feed.complete(1)
    feed.trade(20, CCSEQ=10)
    feed.heartbeat(60)
    feed.trade(61, P=-1, CCSEQ=11)
    feed.records(61)
    feed.trade(61, CCSEQ=13)
    feed.connection.end_spans("socket lost")
    closed = [record for record in feed.connection.drain() if isinstance(record, FeedClosed)]
    assert after(closed[0].certain) == 55  # number 11 came behind the stamp 60, and was refused


@pytest.mark.parametrize("trade", [{"ts": -31 * 86_400}, {"ts": 200}, {"P": -1}, {"P": None}, {"TS": None}])
def test_a_refused_trade_whose_number_came_is_not_missed(trade: dict[str, Any]) -> None:
    feed = Feed()
    feed.complete(1)
    feed.trade(20, CCSEQ=10)
    feed.trade(21, **trade, CCSEQ=11)
    feed.heartbeat(22)
    feed.records(22)
    feed.trade(23, CCSEQ=12)
    for at in (30, 40, 50):
        feed.heartbeat(at)
    found = [record for at in (30, 40, 50) for record in feed.records(at)]
    assert not [record for record in found if isinstance(record, FeedClosed)]


@pytest.mark.parametrize(
    ("broken", "code"),
    [({"P": 0}, "number"), ({"P": None}, "number"), ({"TS": None}, "unreadable"), ({"ts": 200}, "ahead")],
)
def test_a_refused_trade_has_a_code_whatever_its_words(broken: dict[str, Any], code: str) -> None:
    feed = Feed()
    feed.complete(1)
    feed.trade(31, **broken)
    assert [item.refusal.code for item in feed.connection.rejected] == [code]
