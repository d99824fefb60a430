from __future__ import annotations

import time
from threading import Event
from typing import Any

import pytest

from actor_runtime.loop.runner import Runner
from actor_runtime.manual_reset import reset
from actor_runtime.models import TransitionLog
from datastore.models import DeadLetter, Feed, Market, ProviderClock
from datastore.reference.markets import ensure_markets, market_of, unfollow
from datastore.timeframes.intervals import moment
from ingestion.live import connection_channels, live_producer_actor, publish_buffer
from ingestion.live.live_producer_actor import LiveProducer
from ingestion.live.market_connection import MarketConnection
from ingestion.live.socket_reader import SocketReader
from ingestion.models import Producer
from ingestion.providers.table import PROVIDERS
from streaming.records import FeedClosed, FeedOpened, LiveRecord, Trade, Watermark
from tests.support.ingestion.live_bench import BTC, EUR, SOL, Bench, State, bench, live, numbers
from tests.support.polling import until

__all__ = ["bench"]


def test_what_the_simulator_sent_is_what_the_topic_holds_in_order(bench: Bench) -> None:
    live(bench)
    records = bench.records()
    (feed,) = {record.feed for record in records}
    for market in (BTC, EUR):
        ours = [record.id for record in records if type(record) is Trade and record.market == market]
        theirs = [row["id"] for row in bench.simulator.sent() if row["event"] == "trade" and row["market"] == market]
        assert ours == theirs[: len(ours)]
        assert numbers(records, feed, market) == list(range(1, len(numbers(records, feed, market)) + 1))
    bench.step_until(lambda: bench.state() == State.IDLE)


def test_a_cycle_is_stored_with_the_next_one_while_frames_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    live(bench)
    bench.step_until(lambda: bench.state() == State.IDLE)
    loop = bench.runner.loop
    assert loop is not None
    lines = loop.work._lines  # type: ignore[attr-defined]
    until("frames wait", lambda: lines.waiting > 3)
    before = bench.count(Trade)
    with monkeypatch.context() as patch:
        patch.setattr(live_producer_actor, "MAX_FRAMES_PER_TURN", 1)
        while bench.count(Trade) == before and lines.waiting > 1:
            bench.runner.step()
    assert bench.count(Trade) > before
    assert (bench.state(), loop.session.actor.state) == (State.PUBLISHING_TO_FIXED_TOPICS, State.IDLE)
    bench.step_until(lambda: not lines.waiting and bench.state() == State.IDLE)


def test_an_outage_of_the_broker_resends_in_order_what_was_not_acknowledged(bench: Bench) -> None:
    live(bench)
    bench.broker.go_away("unplugged")
    bench.step_until(lambda: bench.state() == State.ERROR)
    assert "unplugged" in (Producer.objects.get().last_error or "")
    before = bench.simulator.now()
    bench.simulator.wait_until(before + 20)
    bench.broker.come_back()
    held = bench.count(Trade)
    bench.step_until(lambda: bench.count(Trade) > held + 5)
    records = bench.records()
    (feed,) = {record.feed for record in records}
    for market in (BTC, EUR):
        assert numbers(records, feed, market) == list(range(1, len(numbers(records, feed, market)) + 1))
    assert {"PUBLISH_FAILURE", "RESET"} <= set(TransitionLog.objects.values_list("event", flat=True))


def test_a_broker_that_is_away_too_long_ends_every_span_by_name_and_costs_bounded_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(bench)
    monkeypatch.setattr(publish_buffer, "MAX_PUBLISHED_RECORDS", 20)
    with monkeypatch.context() as patch:
        patch.setattr(publish_buffer, "MAX_UNSENT_RECORDS", 20)
        bench.broker.fill_up()
        bench.step_until(lambda: not bench.simulator.get("/control/stats")["sockets"])
    bench.broker.come_back()
    bench.step_until(lambda: bench.count(FeedOpened) == 4)

    records = bench.records()
    feeds = list(dict.fromkeys(record.feed for record in records))
    closed = [record for record in records if isinstance(record, FeedClosed)]
    assert [(record.feed, record.reason) for record in closed] == [(feeds[0], "the broker was away too long")] * 2
    for market in (BTC, EUR):
        (end,) = [record for record in closed if record.market == market]
        marks = [
            one.until for one in records if type(one) is Watermark and (one.feed, one.market) == (feeds[0], market)
        ]
        assert end.stop == max(marks), "all that was received by then is published before the end"
        assert numbers(records, feeds[0], market) == list(range(1, end.n + 1))


def test_a_lost_socket_says_goodbye_waits_and_opens_a_new_feed(bench: Bench) -> None:
    live(bench)
    bench.simulator.fault("drop", seconds=0)
    bench.step_until(lambda: bench.count(FeedOpened) == 4)
    closed = [record for record in bench.records() if isinstance(record, FeedClosed)]
    assert [(record.market, bool(record.stop)) for record in closed] == [(BTC, True), (EUR, True)]
    assert len({record.feed for record in bench.records()}) == 2


def test_a_refused_key_is_an_error_until_a_person_resets(bench: Bench) -> None:
    live(bench)
    bench.simulator.fault("unauthorized", seconds=30)
    bench.step_until(lambda: bench.state() == State.ERROR)
    actor = Producer.objects.get()
    assert actor.reset_at is None
    assert "UNAUTHORIZED" in (actor.last_error or "")
    bench.simulator.fault("reset")
    reset(Producer, actor.name, by="a test")
    bench.step_until(lambda: bench.count(FeedOpened) == 4)


def test_a_key_that_was_changed_is_tried_without_a_person(bench: Bench, settings: Any) -> None:
    live(bench)
    bench.simulator.fault("unauthorized", seconds=30)
    bench.step_until(lambda: bench.state() == State.ERROR)
    bench.simulator.fault("reset")
    for _ in range(3):
        bench.runner.step()
    assert bench.state() == State.ERROR, "the same key is not tried again"
    settings.CRYPTOCOMPARE_API_KEY = "another"
    bench.step_until(lambda: bench.count(FeedOpened) == 4)


def test_the_next_process_tries_its_key_where_the_one_before_was_refused(bench: Bench, settings: Any) -> None:
    bench.simulator.fault("unauthorized", seconds=30)
    bench.step_until(lambda: Producer.objects.exists() and bench.state() == State.ERROR)
    bench.runner.end()
    bench.simulator.fault("reset")
    settings.CRYPTOCOMPARE_API_KEY = "another"
    bench.runner = Runner(LiveProducer(PROVIDERS["cryptocompare"]), Event())
    live(bench)
    bench.runner.end()


def test_garbage_is_kept_with_its_reason_and_the_feed_goes_on(bench: Bench) -> None:
    live(bench)
    bench.simulator.fault("garbage", kind="text")
    bench.step_until(DeadLetter.objects.exists)
    held = bench.count(Trade)
    bench.step_until(lambda: bench.count(Trade) > held)
    letter = DeadLetter.objects.get()
    assert letter.reason
    assert bytes(letter.raw)
    assert bench.count(FeedClosed) == 2  # it might have been a trade of either market


def test_frames_lost_to_a_fault_of_ours_end_the_feed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    live(bench)
    taken: list[bytes] = []

    def fail(connection: MarketConnection, raw: bytes, at: int) -> None:
        taken.append(raw)
        raise ArithmeticError("a frame nobody thought of")

    feed = bench.records()[-1].feed
    with monkeypatch.context() as patch:
        patch.setattr(MarketConnection, "take_frame", fail)
        bench.step_until(lambda: taken)
    bench.step_until(lambda: bench.count(FeedOpened) == 4)
    closed = [record for record in bench.records() if isinstance(record, FeedClosed)]
    assert {(record.feed, record.reason) for record in closed} == {(feed, "frames were lost to an internal fault")}


def test_readers_are_told_the_clock_and_how_far_the_feed_is_acknowledged(bench: Bench) -> None:
    live(bench)
    bench.step_until(lambda: Feed.objects.exists() and ProviderClock.objects.exclude(clock_offset=None).exists())
    newest = max(record.until for record in bench.records() if isinstance(record, Watermark))
    assert Feed.objects.get().acknowledged_until <= moment(newest)
    stored = ProviderClock.objects.get()
    assert stored.clock_offset is not None
    assert stored.clock_offset.total_seconds() > 1  # the simulator runs twenty times as fast


def test_a_stopped_producer_closes_its_feed(bench: Bench) -> None:
    live(bench)
    bench.runner.end()
    closed = [record for record in bench.records() if isinstance(record, FeedClosed)]
    assert {record.reason for record in closed} == {"the producer was stopped"}
    assert Producer.objects.get().owner == ""


def of(bench: Bench, market: str, kind: type) -> list[LiveRecord]:
    return [record for record in bench.records() if record.market == market and type(record) is kind]


def test_a_market_followed_at_run_time_joins_the_open_connection_and_cuts_no_other_span(bench: Bench) -> None:
    live(bench)
    ensure_markets([SOL])
    began = time.monotonic()
    bench.step_until(lambda: of(bench, SOL, FeedOpened))
    assert time.monotonic() - began < 5
    bench.step_until(lambda: of(bench, SOL, Watermark))
    records = bench.records()
    (feed,) = {record.feed for record in records}
    for market in (BTC, EUR, SOL):
        assert numbers(records, feed, market) == list(range(1, len(numbers(records, feed, market)) + 1))
    assert not bench.count(FeedClosed) and bench.count(FeedOpened) == 3
    (opened,) = of(bench, SOL, FeedOpened)
    (complete,) = [row for row in bench.simulator.sent() if row["event"] == "subscribed" and row["market"] == SOL]
    assert opened.start > complete["until"] // 1000  # type: ignore[union-attr]
    assert all(mark.start >= opened.start for mark in of(bench, SOL, Watermark))  # type: ignore[union-attr]
    ours = [record.id for record in of(bench, SOL, Trade)]  # type: ignore[union-attr]
    theirs = [row["id"] for row in bench.simulator.sent() if row["event"] == "trade" and row["market"] == SOL]
    assert ours and ours == theirs[: len(ours)]


def test_a_market_that_is_left_ends_its_span_alone_and_goes_on_counting_when_it_returns(bench: Bench) -> None:
    live(bench)
    eur = market_of(EUR)
    assert eur is not None and unfollow(eur)
    bench.step_until(lambda: bench.count(FeedClosed))
    (closed,) = [record for record in bench.records() if isinstance(record, FeedClosed)]
    assert (closed.market, closed.reason) == (EUR, "no longer followed")
    held = len(of(bench, BTC, Watermark))
    bench.step_until(lambda: len(of(bench, BTC, Watermark)) > held + 2)
    assert not any(EUR in socket["markets"] for socket in bench.simulator.get("/control/stats")["sockets"])
    ensure_markets([EUR])
    bench.step_until(lambda: len(of(bench, EUR, FeedOpened)) == 2)
    records = bench.records()
    (feed,) = {record.feed for record in records}
    assert numbers(records, feed, EUR) == list(range(1, len(numbers(records, feed, EUR)) + 1))
    assert bench.count(FeedClosed) == 1 and not DeadLetter.objects.exists()


def test_a_subscription_that_cannot_be_sent_ends_the_connection_and_the_next_one_has_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(bench)
    ensure_markets([SOL])
    with monkeypatch.context() as patch:
        patch.setattr(SocketReader, "send", lambda *_: False)
        bench.step_until(lambda: bench.count(FeedClosed) == 2)
    bench.step_until(lambda: of(bench, SOL, FeedOpened))
    reasons = {record.reason for record in bench.records() if isinstance(record, FeedClosed)}
    assert reasons == {"a subscription could not be sent"}


def test_a_market_that_the_provider_does_not_have_is_refused_alone(bench: Bench) -> None:
    live(bench)
    ensure_markets(["coinbase:NOPE-USD"])
    bench.step_until(DeadLetter.objects.exists)
    held = len(of(bench, BTC, Watermark))
    bench.step_until(lambda: len(of(bench, BTC, Watermark)) > held + 5)
    assert "INVALID_SUB" in DeadLetter.objects.get().reason
    assert not bench.count(FeedClosed)


def test_a_refused_market_says_so_and_is_tried_again_while_the_socket_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.simulator.fault("unlist", market=EUR, seconds=86_400)
    bench.step_until(lambda: Market.objects.filter(symbol=EUR).exclude(refusal=None).exists())
    refused = Market.objects.get(symbol=EUR)
    assert "INVALID_SUB" in (refused.refusal or "") and refused.refused_since is not None
    monkeypatch.setattr(connection_channels, "RETRY_REFUSED_AFTER_S", 0.2)  # from its next refusal on
    (line,) = bench.runner.work._lines  # type: ignore[attr-defined]
    monkeypatch.setattr(line.connection.channels, "_retry_at", {EUR: 0.0})
    asked = []
    send = SocketReader.send
    monkeypatch.setattr(SocketReader, "send", lambda reader, raw: asked.append(raw) or send(reader, raw))
    bench.step_until(lambda: len(asked) >= 2)
    again = Market.objects.get(symbol=EUR)
    assert (again.refusal, again.refused_since) == (refused.refusal, refused.refused_since)
    assert DeadLetter.objects.count() == 1, "it is a state now, not a record each time"
    bench.simulator.fault("reset")
    bench.step_until(lambda: of(bench, EUR, Watermark))
    bench.step_until(lambda: Market.objects.filter(symbol=EUR, refusal=None, refused_since=None).exists())
    assert not bench.count(FeedClosed) and len({record.feed for record in bench.records()}) == 1


def test_a_producer_whose_only_market_is_refused_waits_for_it_without_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_channels, "RETRY_REFUSED_AFTER_S", 0.2)
    unfollow(market_of(EUR))  # type: ignore[arg-type]
    bench.simulator.fault("unlist", market=BTC, seconds=86_400)
    bench.step_until(lambda: Market.objects.filter(symbol=BTC).exclude(refusal=None).exists())
    assert "INVALID_SUB" in (Producer.objects.get().waiting_for or "")
    bench.simulator.fault("reset")
    bench.step_until(lambda: of(bench, BTC, Watermark))
    assert not TransitionLog.objects.filter(target=State.ERROR).exists()
    assert Producer.objects.get().waiting_for is None


def test_a_market_that_is_no_longer_followed_is_no_longer_refused(bench: Bench) -> None:
    bench.simulator.fault("unlist", market=EUR, seconds=86_400)
    bench.step_until(lambda: Market.objects.filter(symbol=EUR).exclude(refusal=None).exists())
    unfollow(market_of(EUR))  # type: ignore[arg-type]
    live(bench, markets=1)
    assert Market.objects.filter(symbol=EUR, refusal=None, refused_since=None).exists()


def test_a_producer_without_a_market_waits_for_one(bench: Bench) -> None:
    for symbol in (BTC, EUR):
        unfollow(market_of(symbol))  # type: ignore[arg-type]
    bench.step_until(lambda: Producer.objects.exists() and Producer.objects.get().waiting_for)
    assert bench.state() == State.IDLE
    ensure_markets([BTC])
    bench.step_until(lambda: bench.count(FeedOpened) == 1)
