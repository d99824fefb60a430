from __future__ import annotations

import json
from typing import Any

import pytest

from ingestion.clock import SECOND, ClockEstimate
from ingestion.intake import Intake
from ingestion.market_feed import LONGEST_REPLAY
from streaming.port import RECORD_LIMIT
from streaming.records import FeedClosed, FeedOpened, LiveRecord, Trade, Watermark, encode

T0 = 1_800_000_000
DAY = 86_400 * SECOND
SUBS = {"0~Coinbase~BTC~USD": "coinbase:BTC-USD", "0~Kraken~BTC~EUR": "kraken:BTC-EUR"}
NAMES = {"btc": ("Coinbase", "BTC", "USD"), "eur": ("Kraken", "BTC", "EUR")}


class Feed:
    """An intake that is fed by the second; its database clock equals the provider's."""

    def __init__(self) -> None:
        self.clock = ClockEstimate()
        self.clock.observe(T0 * SECOND, T0 * SECOND)
        self.intake = Intake(
            "tick-data/test", SUBS, self.clock, grace=5 * SECOND, retention=30 * DAY, connected=T0 * SECOND
        )

    def frame(self, at: float, **fields: Any) -> None:
        self.intake.take(json.dumps(fields).encode(), int((T0 + at) * SECOND))

    def trade(self, at: float, market: str = "btc", ts: float | None = None, **fields: Any) -> None:
        exchange, base, quote = NAMES[market]
        given = {"P": 100.5, "Q": 1, "ID": f"{at}-{market}", "TS": int(T0 + (at if ts is None else ts)), "F": "1"}
        stamp = {"RTS": int(T0 + at), "RTSNS": int(at % 1 * 1e9)}
        self.frame(at, TYPE="0", M=exchange, FSYM=base, TSYM=quote, **given | stamp | fields)

    def complete(self, at: float, *markets: str) -> None:
        for market in markets or ("btc", "eur"):
            exchange, base, quote = NAMES[market]
            self.frame(at, TYPE="16", MESSAGE="SUBSCRIBECOMPLETE", SUB=f"0~{exchange}~{base}~{quote}")

    def heartbeat(self, at: float) -> None:
        self.frame(at, TYPE="999", MESSAGE="HEARTBEAT", TIMEMS=int((T0 + at) * 1000))

    def records(self, at: float, market: str = "coinbase:BTC-USD") -> list[LiveRecord]:
        self.intake.watermarks(at, int((T0 + at) * SECOND))
        return [record for record in self.intake.drain() if record.market == market]


def after(micros: int | None) -> float:
    assert micros is not None
    return micros / SECOND - T0


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
    feed.intake.close("socket lost")
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


@pytest.mark.parametrize(
    "broken", [{"P": 0}, {"P": -1}, {"Q": -1}, {"P": "x"}, {"TS": None}, {"P": None}, {"ts": 100}, {"ID": "a\x00"}]
)
def test_a_refused_trade_ends_its_markets_span_and_no_other(broken: dict[str, Any]) -> None:
    feed = Feed()
    feed.complete(1)
    feed.heartbeat(30)
    feed.records(30)
    feed.trade(31, **broken)
    feed.intake.watermarks(31, (T0 + 31) * SECOND)
    closed = [record for record in feed.intake.drain() if isinstance(record, FeedClosed)]
    assert [(record.market, after(record.stop)) for record in closed] == [("coinbase:BTC-USD", 25)]
    assert [(item.market, bool(item.reason)) for item in feed.intake.rejected] == [("coinbase:BTC-USD", True)]


def test_an_unreadable_frame_ends_every_span_and_is_kept() -> None:
    feed = Feed()
    feed.complete(1)
    feed.heartbeat(30)
    feed.records(30)
    feed.intake.take(b"\x00garbage", (T0 + 31) * SECOND)
    closed = [record.market for record in feed.intake.drain() if isinstance(record, FeedClosed)]
    assert sorted(closed) == ["coinbase:BTC-USD", "kraken:BTC-EUR"]
    assert feed.intake.rejected[0].raw == b"\x00garbage"


def test_a_trade_of_a_market_nobody_asked_for_ends_no_span() -> None:
    feed = Feed()
    feed.complete(1)
    feed.frame(2, TYPE="0", M="Foo", FSYM="A", TSYM="B", P=1, Q=1, TS=T0 + 2, F="1")
    feed.frame(2, TYPE="0", M="Foo", FSYM="A", TSYM="B", P="no", Q=1, TS=T0 + 2, F="1")
    assert not [record for record in feed.intake.drain() if isinstance(record, FeedClosed)]
    assert len(feed.intake.rejected) == 2


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
    assert closed.reason == "the provider's numbering lacks 1 trades"


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


def test_a_span_does_not_begin_before_the_subscription_where_the_database_clock_is_an_hour_behind() -> None:
    feed = Feed()
    feed.clock.__init__()  # type: ignore[misc]
    behind = -3600
    stamps = [{"TYPE": "20", "SERVER_TIME_MS": T0 * 1000}]
    stamps += [{"TYPE": "999", "TIMEMS": (T0 + at) * 1000} for at in (30, 60, 90, 120)]
    found: list[LiveRecord] = []
    for number, stamp in enumerate(stamps):
        feed.frame(behind + number * 30, **stamp)
        feed.intake.watermarks(number, (T0 + behind + number * 30) * SECOND)
        if number == 0:
            feed.complete(behind + 1)
        found += feed.intake.drain()
    proven = [record for record in found if isinstance(record, Watermark) and record.until > record.start]
    assert {after(mark.start) for mark in proven} == {90}


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
    assert feed.intake.rejected
    assert max(after(record.stop) for record in found if isinstance(record, FeedClosed)) == 5
    assert all(after(record.start) > 20 for record in found if isinstance(record, Watermark))


def test_of_a_very_long_replay_the_oldest_names_are_kept_without_their_numbers() -> None:
    feed = Feed()
    for number in range(LONGEST_REPLAY + 100):
        feed.trade(1, ID=f"i{number}", CCSEQ=number)
    feed.complete(2)
    opened = feed.records(2)[-1]
    assert isinstance(opened, FeedOpened)
    assert [trade.id for trade in opened.replayed] == [f"i{number}" for number in range(LONGEST_REPLAY)]
    assert len(encode(opened)) < RECORD_LIMIT
    assert {trade.seq for trade in opened.replayed} == {None}


@pytest.mark.parametrize("raw", [b'{"TYPE":"0","X":' + b"[" * 100_000, b'{"TYPE":"0","TS":' + b"9" * 5_000])
def test_no_frame_stops_the_intake(raw: bytes) -> None:
    feed = Feed()
    feed.intake.take(raw, T0 * SECOND)
    assert [item.raw for item in feed.intake.rejected] == [raw]


def test_a_second_made_of_impossible_nanoseconds_is_refused() -> None:
    feed = Feed()
    feed.trade(1, TSNS=10**400)
    assert [item.reason for item in feed.intake.rejected] == ["a trade without a time"]


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
    assert feed.intake.too_old == 1
    assert [item.reason for item in feed.intake.rejected] == ["older than the trades we keep"]


def test_a_closed_connection_ends_every_span_at_its_last_stop() -> None:
    feed = Feed()
    feed.complete(1)
    feed.heartbeat(30)
    feed.records(30)
    feed.intake.close("socket lost")
    closed = feed.intake.drain()
    assert [(type(record), after(record.stop)) for record in closed] == [(FeedClosed, 25)] * 2  # type: ignore[union-attr]


def test_a_numbering_that_begins_anew_ends_the_span() -> None:
    feed = Feed()
    feed.complete(1)
    feed.trade(2, CCSEQ=1_000_000)
    feed.trade(3, CCSEQ=5)
    feed.trade(4, CCSEQ=6)
    feed.heartbeat(30)
    assert [type(record) for record in feed.records(30) if isinstance(record, FeedClosed)] == [FeedClosed]


def test_an_ended_subscription_ends_the_connection() -> None:
    feed = Feed()
    feed.complete(1)
    feed.frame(5, TYPE="17", MESSAGE="UNSUBSCRIBECOMPLETE", SUB="0~Coinbase~BTC~USD")
    assert feed.intake.refusal is not None
    assert "ended the subscription" in feed.intake.refusal.reason


def test_a_stamp_that_no_clock_could_show_moves_nothing() -> None:
    feed = Feed()
    feed.complete(1)
    for at in (2, 3, 4, 5):
        feed.trade(at, RTS=10**12)
        feed.frame(at, TYPE="999", MESSAGE="HEARTBEAT", TIMEMS=10**16)
    assert feed.clock.now((T0 + 5) * SECOND) == (T0 + 5) * SECOND


def test_a_receipt_is_never_noted_before_the_providers_own_stamp() -> None:
    feed = Feed()
    feed.trade(1, RTS=T0 + 3600, RTSNS=0)  # not believed: nothing else says that it is an hour later
    (trade,) = feed.records(1)
    assert isinstance(trade, Trade)
    assert after(trade.received_at) == 3600


ETH = "0~Coinbase~ETH~USD"
NAMES["eth"] = ("Coinbase", "ETH", "USD")


def of_eth(feed: Feed, at: float) -> list[LiveRecord]:
    return feed.records(at, "coinbase:ETH-USD")


def leave(feed: Feed, at: float, sub: str = ETH) -> None:
    feed.frame(at, TYPE="17", MESSAGE="UNSUBSCRIBECOMPLETE", SUB=sub)
    feed.frame(at, TYPE="18", MESSAGE="UNSUBSCRIBEALLCOMPLETE", INFO="Removed 1 subs.")


def test_a_market_added_later_claims_only_from_its_own_subscription_on() -> None:
    feed = Feed()
    feed.complete(1)
    assert feed.intake.add(ETH, "coinbase:ETH-USD", (T0 + 100) * SECOND)
    assert not feed.intake.add(ETH, "coinbase:ETH-USD", (T0 + 100) * SECOND)
    feed.trade(101, "eth", ts=50, ID="old")
    feed.heartbeat(110)
    assert [type(record) for record in of_eth(feed, 110)] == [Trade]
    feed.complete(111, "eth")
    feed.heartbeat(130)
    opened, mark = of_eth(feed, 130)
    assert isinstance(opened, FeedOpened) and isinstance(mark, Watermark)
    assert (after(opened.connected), after(opened.start), opened.n) == (100, 112, 2)
    assert [trade.id for trade in opened.replayed] == ["old"]
    assert (mark.start, after(mark.until)) == (opened.start, 125)


def test_what_is_still_on_its_way_of_a_market_that_was_left_is_dropped() -> None:
    feed = Feed()
    feed.intake.add(ETH, "coinbase:ETH-USD", T0 * SECOND)
    feed.complete(1, "btc", "eur", "eth")
    feed.heartbeat(20)
    of_eth(feed, 20)
    assert feed.intake.remove(ETH) and not feed.intake.remove(ETH)
    feed.trade(21, "eth")
    (closed,) = of_eth(feed, 21)
    assert isinstance(closed, FeedClosed)
    assert (after(closed.stop), closed.reason) == (15, "no longer followed")
    assert not feed.intake.rejected and feed.intake.refusal is None


def test_a_market_is_not_joined_again_before_its_last_subscription_has_ended() -> None:
    feed = Feed()
    feed.intake.add(ETH, "coinbase:ETH-USD", T0 * SECOND)
    feed.intake.remove(ETH)
    feed.complete(1, "eth")  # the answer to the first subscription: it opens nothing
    assert not feed.intake.add(ETH, "coinbase:ETH-USD", (T0 + 1) * SECOND)
    leave(feed, 2)
    assert feed.intake.add(ETH, "coinbase:ETH-USD", (T0 + 3) * SECOND)
    assert of_eth(feed, 3) == []
    feed.complete(4, "eth")
    (opened,) = of_eth(feed, 4)
    assert isinstance(opened, FeedOpened) and opened.n == 1
    assert feed.intake.refusal is None


def test_the_end_of_a_subscription_that_nobody_asked_for_ends_the_connection() -> None:
    feed = Feed()
    feed.complete(1)
    leave(feed, 2, "0~Coinbase~BTC~USD")
    assert feed.intake.refusal is not None
    assert "ended the subscription" in feed.intake.refusal.reason


def test_a_subscription_too_many_is_refused_alone() -> None:
    feed = Feed()
    feed.intake.add(ETH, "coinbase:ETH-USD", T0 * SECOND)
    feed.frame(1, TYPE="429", MESSAGE="TOO_MANY_SUBSCRIPTIONS_MAX_600_PER_SOCKET", PARAMETER=ETH, INFO="Remove some.")
    assert feed.intake.refusal is None
    assert [item.market for item in feed.intake.rejected] == ["coinbase:ETH-USD"]
