"""How a subscription begins, and what is claimed of it."""

from __future__ import annotations

import json

import pytest

from datastore.coverage.wrong_claims import WRONG_TIME
from datastore.timeframes.intervals import SECOND_US
from ingestion.live import frame_intake
from ingestion.live.clock_estimate import ClockEstimate
from ingestion.live.market_feed import MAX_REPLAYED_TRADES
from streaming.broker import MAX_RECORD_BYTES
from streaming.records import FeedClosed, FeedOpened, LiveRecord, Trade, Watermark, encode
from tests.support.ingestion.intake_bench import SUBS, T0, Feed, after, opened_connection


def test_replayed_trades_come_before_feed_opened_which_names_them() -> None:
    feed = Feed()
    feed.trade(1, ts=-50, ID="a", CCSEQ=7)
    feed.trade(1, ts=-40, ID="b", CCSEQ=8)
    feed.complete(2)
    *trades, opened = feed.records(2)
    assert [trade.n for trade in trades] == [1, 2]
    assert isinstance(opened, FeedOpened)
    assert [(item.id, item.seq) for item in opened.replayed] == [("a", 7), ("b", 8)]
    assert (after(opened.connected), after(opened.start), opened.n) == (0, 3, 3)


def test_every_record_of_a_market_is_numbered_without_a_hole() -> None:
    feed = Feed()
    feed.complete(1)
    found: list[LiveRecord] = []
    for second in range(2, 200):
        feed.trade(second)
        if second % 30 == 0:
            feed.heartbeat(second)
        if second == 100:
            feed.trade(second, P=-1)
        found += feed.records(second)
    feed.connection.end_spans("socket lost")
    found += feed.records(200)
    assert [record.n for record in found] == list(range(1, len(found) + 1))
    assert {type(record) for record in found} == {Trade, FeedOpened, Watermark, FeedClosed}


def test_a_watermark_lies_grace_behind_the_newest_stamp_of_any_frame() -> None:
    feed = Feed()
    feed.complete(1)
    feed.trade(20, market="eur")
    feed.heartbeat(30)
    (opened, mark) = feed.records(30)
    assert isinstance(mark, Watermark)
    assert (after(mark.until), after(mark.seen), mark.start) == (25, 30, opened.start)  # type: ignore[union-attr]


def test_a_trades_own_time_never_moves_the_watermark() -> None:
    feed = Feed()
    feed.complete(1)
    feed.trade(10, ts=60)
    marks = [record for record in feed.records(10) if isinstance(record, Watermark)]
    assert [after(mark.until) for mark in marks] == [5]


def test_a_thin_markets_minute_is_claimed_when_another_market_trades_past_it() -> None:
    feed = Feed()
    feed.complete(1)
    feed.records(1)
    feed.trade(66, market="eur")
    marks = feed.records(66)
    assert [after(mark.until) for mark in marks if isinstance(mark, Watermark)] == [61]


def test_nothing_is_claimed_before_the_subscription_stands() -> None:
    feed = Feed()
    feed.trade(1, ts=-3)
    feed.heartbeat(30)
    assert [type(record) for record in feed.records(30)] == [Trade]


def test_nothing_is_claimed_past_a_number_that_is_known_to_be_missing() -> None:
    feed = Feed()
    feed.complete(1)
    feed.trade(20, CCSEQ=10)
    feed.records(20)
    feed.trade(30, CCSEQ=12)  # number 11 was traded in between, and never comes
    found: list[LiveRecord] = []
    for at in (31, 33, 34.5, 36):
        feed.heartbeat(at)
        found += feed.records(at)
    (closed,) = [record for record in found if isinstance(record, FeedClosed)]
    assert after(closed.stop) == 15  # known whole up to 20, less the grace


def test_claims_go_on_while_numbers_only_change_places() -> None:
    feed = Feed()
    feed.complete(1)
    for at, seq in ((20, 10), (30, 12), (31, 11), (31, 14)):
        feed.trade(at, CCSEQ=seq)
    marks = [record for record in feed.records(31) if isinstance(record, Watermark)]
    assert [after(mark.until) for mark in marks] == [25]


def test_a_span_begins_at_the_subscription_whatever_the_machines_clock_shows() -> None:
    feed = Feed()
    feed.clock.__init__()
    behind = -3600
    stamps = [{"TYPE": "20", "SERVER_TIME_MS": T0 * 1000}]
    stamps += [{"TYPE": "999", "TIMEMS": (T0 + at) * 1000} for at in (30, 60, 90, 120)]
    found: list[LiveRecord] = []
    for number, stamp in enumerate(stamps):
        feed.frame(behind + number * 30, **stamp)
        feed.connection.claim(number, (T0 + behind + number * 30) * SECOND_US)
        if number == 0:
            feed.complete(behind + 1)
        found += feed.connection.drain()
    proven = [record for record in found if isinstance(record, Watermark) and record.until > record.start]
    assert {after(mark.start) for mark in proven} == {2}
    assert after(proven[-1].until) == 115


def test_a_feed_begins_with_the_providers_first_stamp() -> None:
    connection = opened_connection(SUBS, ClockEstimate(), None)
    connection.take_frame(json.dumps({"TYPE": "20", "SERVER_TIME_MS": T0 * 1000}).encode(), 5 * SECOND_US)
    assert connection.is_open and connection.refusal is None


def test_what_comes_before_the_providers_time_waits_for_it() -> None:
    connection = opened_connection(SUBS, ClockEstimate(), None)
    sub, symbol = next(iter(SUBS.items()))
    connection.take_frame(json.dumps({"TYPE": "16", "MESSAGE": "SUBSCRIBECOMPLETE", "SUB": sub}).encode(), SECOND_US)
    assert not connection.is_open and connection.drain() == []
    connection.take_frame(json.dumps({"TYPE": "20", "SERVER_TIME_MS": T0 * 1000}).encode(), 5 * SECOND_US)
    (opened,) = connection.drain()
    assert isinstance(opened, FeedOpened)
    assert (opened.market, after(opened.start)) == (symbol, -3), "a second after the moment at which it came"


def test_data_without_a_time_ends_the_connection_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_intake, "MAX_EARLY_EVENTS", 1)
    connection = opened_connection(SUBS, ClockEstimate(), None)
    sub = next(iter(SUBS))
    frame = json.dumps({"TYPE": "16", "MESSAGE": "SUBSCRIBECOMPLETE", "SUB": sub}).encode()
    connection.take_frame(frame, SECOND_US)
    assert connection.refusal is None
    connection.take_frame(frame, SECOND_US)
    assert connection.refusal is not None and connection.refusal.reason == "the provider sends data, but not its time"


def test_four_wrong_heartbeats_in_a_row_claim_nothing_and_a_cut_is_found_where_it_was() -> None:
    feed = Feed()
    feed.complete(1)
    for at in (0, 30, 60):
        feed.heartbeat(at)
    proven = [record for record in feed.records(61) if isinstance(record, Watermark)]
    assert after(proven[-1].until) == 55
    for at in (90, 120, 150, 180):
        feed.frame(at, TYPE="999", MESSAGE="HEARTBEAT", TIMEMS=int((T0 + at + 1800) * 1000))
        assert feed.records(at) == []
    feed.heartbeat(210)
    (mark,) = feed.records(211)
    assert isinstance(mark, Watermark) and (after(mark.start), after(mark.until)) == (2, 205)
    feed.connection.end_spans("the socket was cut")
    (end,) = feed.records(330)
    assert isinstance(end, FeedClosed) and after(end.stop) == 205


def test_where_the_time_was_ahead_spans_end_and_begin_again_at_the_right_time() -> None:
    feed = Feed()
    feed.complete(1)
    for at in (10, 11, 12):
        feed.trade(at, RTS=T0 + 3600 + at, RTSNS=0)
        feed.frame(at, TYPE="999", MESSAGE="HEARTBEAT", TIMEMS=(T0 + 3600 + at) * 1000)
    ends = [record for record in feed.records(12) if isinstance(record, FeedClosed)]
    assert [end.reason for end in ends] == [WRONG_TIME]
    for at in range(20, 50):
        feed.heartbeat(at)
        feed.trade(at)
    records = feed.records(50)
    ends = [record for record in records if isinstance(record, FeedClosed)]
    assert [end.reason for end in ends] == [WRONG_TIME]
    marks = [record for record in records if isinstance(record, Watermark)]
    assert 20 <= after(marks[-1].start) < 50 and after(marks[-1].until) <= 45


def test_of_a_very_long_replay_the_oldest_names_are_kept_without_their_numbers() -> None:
    feed = Feed()
    for number in range(MAX_REPLAYED_TRADES + 100):
        feed.trade(1, ID=f"i{number}", CCSEQ=number)
    feed.complete(2)
    opened = feed.records(2)[-1]
    assert isinstance(opened, FeedOpened)
    assert [trade.id for trade in opened.replayed] == [f"i{number}" for number in range(MAX_REPLAYED_TRADES)]
    assert len(encode(opened)) < MAX_RECORD_BYTES
    assert {trade.seq for trade in opened.replayed} == {None}


def test_a_refused_trade_among_the_replayed_ones_forbids_the_bridge() -> None:
    feed = Feed()
    feed.trade(1, ts=-10)
    feed.trade(1, ts=-9, P=-1)
    feed.complete(2)
    opened = feed.records(2)[-1]
    assert isinstance(opened, FeedOpened)
    assert opened.replayed == ()


def test_replayed_trades_older_than_we_keep_are_counted_and_dropped() -> None:
    feed = Feed()
    feed.trade(1, ts=-31 * 86_400)
    feed.complete(2)
    feed.trade(3, ts=-31 * 86_400)
    assert feed.connection.too_old == 1
    assert [item.refusal.detail for item in feed.connection.rejected] == ["older than the trades we keep"]


def test_a_stamp_that_no_clock_could_show_moves_nothing() -> None:
    feed = Feed()
    feed.complete(1)
    for at in (2, 3, 4, 5):
        feed.trade(at, RTS=10**12)
        feed.frame(at, TYPE="999", MESSAGE="HEARTBEAT", TIMEMS=10**16)
    assert feed.clock.now((T0 + 5) * SECOND_US) == (T0 + 5) * SECOND_US


def test_a_receipt_is_never_noted_before_the_providers_own_stamp() -> None:
    feed = Feed()
    feed.trade(1, RTS=T0 + 3600, RTSNS=0)  # not believed: nothing else says that it is an hour later
    (trade,) = feed.records(1)
    assert isinstance(trade, Trade)
    assert after(trade.received_at) == 3600


def named(feed: Feed) -> list[str]:
    return [record.id for record in feed.connection.drain() if isinstance(record, Trade)]


@pytest.mark.parametrize("ids", ["made up", "none"])
def test_equal_trades_of_one_second_are_as_many_as_came(ids: str) -> None:
    feed = Feed()
    feed.complete(1)
    for place, flags in enumerate(["2", "2", "2", "1"]):
        made_up = f"{T0 + 20}{place}" if ids == "made up" else None
        feed.trade(20, Q=2, F=flags, ID=made_up)
    trades = [record for record in feed.records(20) if isinstance(record, Trade)]
    assert len({trade.id for trade in trades}) == 4
    assert sum(trade.amount for trade in trades) == 8


def test_a_replay_names_equal_trades_as_the_connection_before_did_whatever_ids_are_made_up() -> None:
    before, after_cut = Feed(), Feed()
    before.complete(1)
    for place in (7, 8, 9):
        before.trade(20, ID=f"{T0 + 20}{place}")
    after_cut.trade(3, ID=f"{T0 + 3}1")
    for place in (1, 2, 3, 3):  # the last one is a repeat
        after_cut.trade(20, ID=f"{T0 + 20}{place}")
    assert named(after_cut)[1:4] == named(before)


def test_equal_trades_that_may_have_been_cut_off_at_the_start_of_a_replay_prove_no_bridge() -> None:
    feed = Feed()
    for at, ts in ((20, 20), (20.5, 20), (21, 19), (23, 23), (24, 24)):
        feed.trade(at, ts=ts, ID=f"{int(T0 + ts)}{int(at * 2) % 10}")
    feed.complete(30)
    (opening,) = [record for record in feed.records(30) if isinstance(record, FeedOpened)]
    assert [after(replayed.ts) for replayed in opening.replayed] == [23, 24]


def test_equal_trades_of_one_id_are_two_where_their_numbers_say_so() -> None:
    feed = Feed()
    feed.complete(1)
    for number in (7, 8, 8, 9):  # one is a repeat
        feed.trade(20, ID="0", CCSEQ=number)
    assert named(feed) == ["0", "0#ccseq:8", "0#ccseq:8", "0#ccseq:9"]


def test_other_content_under_one_id_is_left_to_those_who_know_what_is_stored() -> None:
    feed = Feed()
    feed.complete(1)
    for number, price in ((7, 10), (8, 12)):
        feed.trade(20, ID="0", CCSEQ=number, P=price)
    assert named(feed) == ["0", "0"]


def test_an_id_without_numbers_is_trusted_while_its_content_agrees() -> None:
    feed = Feed()
    feed.complete(1)
    for _ in range(2):
        feed.trade(20, ID="0")
    assert named(feed) == ["0", "0"]
