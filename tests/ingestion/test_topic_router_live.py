"""Routes of the live Producer: between a real simulator and a broker, told by rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from actor_runtime.errors import Fenced
from actor_runtime.loop.runner import Runner
from actor_runtime.models import TransitionLog
from datastore.models import DeadLetter, DynamicTopic, Feed, Market
from datastore.reference.markets import ensure_markets, market_of, unfollow
from ingestion.live.live_producer_actor import LiveProducer
from ingestion.models import Producer
from ingestion.providers.table import PROVIDERS
from metering.table import REFUSED
from streaming.broker import Message
from streaming.broker_factory import connect
from streaming.errors import BadRecord
from streaming.records import FeedClosed, FeedOpened, LiveRecord, Trade, Watermark
from tests.support.ingestion.live_bench import BTC, EUR, SOL, Bench, State, bench, live, numbers
from tests.support.ingestion.topics import Topic, told, topic_of
from tests.support.polling import until
from tests.support.simulator import running
from tests.support.streaming.memory import MemoryPublisher
from tests.support.valkey import private_valkey

__all__ = ["bench"]


def routed(bench: Bench, symbol: str) -> DynamicTopic:
    """Return a topic whose route is acknowledged, and proven for a while."""
    topic = topic_of(bench, symbol)
    bench.step_until(lambda: DynamicTopic.objects.filter(pk=topic.pk).exclude(routed_at=None).exists())
    bench.step_until(lambda: len(told(bench, topic, Watermark)) > 1)
    topic.refresh_from_db()
    return topic


def on_tick_data(bench: Bench, market: str, kind: type = object) -> list[Any]:
    return [record for record in bench.records() if record.market == market and isinstance(record, kind)]


def whole(records: Sequence[LiveRecord]) -> bool:
    """Return whether every feed of these counts from 1 without a hole."""
    feeds = {(record.feed, record.market) for record in records}
    return all(
        numbers(list(records), *feed) == list(range(1, len(numbers(list(records), *feed)) + 1)) for feed in feeds
    )


def sockets(bench: Bench) -> set[str]:
    return {market for socket in bench.simulator.get("/control/stats")["sockets"] for market in socket["markets"]}


def lossless(bench: Bench, market: str) -> bool:
    """Return whether the fixed topic holds, without a hole, what the simulator sent of a market."""
    ours = [record.id for record in on_tick_data(bench, market, Trade)]
    theirs = [row["id"] for row in bench.simulator.sent() if row["event"] == "trade" and row["market"] == market]
    return bool(ours) and ours == theirs[: len(ours)]


def test_a_followed_market_is_routed_from_now_on_in_a_feed_of_its_own(bench: Bench) -> None:
    live(bench)
    topic = routed(bench, BTC)
    bench.step_until(lambda: told(bench, topic, Trade))
    records = told(bench, topic)
    assert topic.producer == "producer-live-1"
    assert isinstance(records[0], FeedOpened)
    assert (records[0].start, records[0].replayed) == (records[0].connected, ())
    (feed,) = {record.feed for record in records}
    assert feed.startswith(f"{topic.name}/") and whole(records)
    assert {record.market for record in records} == {BTC}
    ids = [record.id for record in records if isinstance(record, Trade)]
    fixed = [record.id for record in on_tick_data(bench, BTC, Trade)]
    assert fixed[fixed.index(ids[0]) :][: len(ids)] == ids
    assert all(mark.start >= records[0].start for mark in records if isinstance(mark, Watermark))
    assert not bench.count(FeedClosed) and bench.count(FeedOpened) == 2


def test_a_market_that_nobody_follows_goes_to_its_own_topic_alone(bench: Bench) -> None:
    live(bench)
    topic = routed(bench, SOL)
    records = told(bench, topic)
    (opened,) = told(bench, topic, FeedOpened)
    replayed = records[: records.index(opened)]
    assert replayed and [(item.ts, item.id) for item in opened.replayed] == [(one.ts, one.id) for one in replayed]
    assert opened.connected < opened.start
    assert whole(records) and not on_tick_data(bench, SOL)
    ours = [record.id for record in records if isinstance(record, Trade)]
    theirs = [row["id"] for row in bench.simulator.sent() if row["event"] == "trade" and row["market"] == SOL]
    assert ours == theirs[: len(ours)]
    assert not bench.count(FeedClosed)
    bench.step_until(Feed.objects.filter(topic=topic.name).exists)
    assert Feed.objects.get(topic=topic.name).markets == [SOL]
    assert sorted(Feed.objects.get(topic="tick-data").markets) == [BTC, EUR]


def test_a_retiring_topic_is_told_its_end_before_its_row_says_so_and_the_channel_is_left(bench: Bench) -> None:
    live(bench)
    topic = routed(bench, SOL)
    DynamicTopic.objects.update(state=Topic.RETIRING)
    bench.step_until(DynamicTopic.objects.exclude(route_ended_at=None).exists)
    records = told(bench, topic)
    last = records[-1]
    assert isinstance(last, FeedClosed) and last.reason == "the stream has ended"
    assert last.stop == max(mark.until for mark in told(bench, topic, Watermark))
    bench.step_until(lambda: SOL not in sockets(bench))
    assert len(told(bench, topic)) == len(records), "nothing follows an end"
    assert not bench.count(FeedClosed)


def test_a_retiring_topic_that_is_not_routed_here_has_ended_at_once(bench: Bench) -> None:
    topic = topic_of(bench, SOL, Topic.RETIRING)
    bench.step_until(DynamicTopic.objects.exclude(route_ended_at=None).exists)
    assert not told(bench, topic)


def test_a_topic_that_is_live_already_is_routed_again_by_the_next_producer(bench: Bench) -> None:
    live(bench)
    topic = routed(bench, SOL)
    DynamicTopic.objects.update(state=Topic.LIVE)
    bench.runner.end()
    assert told(bench, topic)[-1].reason == "the producer was stopped"
    bench.runner = Runner(LiveProducer(PROVIDERS["cryptocompare"]), Event())
    bench.step_until(lambda: len(told(bench, topic, FeedOpened)) == 2)
    assert whole(told(bench, topic))
    assert DynamicTopic.objects.get().routed_at == topic.routed_at


def test_a_market_that_is_left_goes_on_without_a_hole_where_it_is_routed_and_may_come_back(bench: Bench) -> None:
    live(bench)
    topic = routed(bench, EUR)
    eur = market_of(EUR)
    assert eur is not None and unfollow(eur)
    bench.step_until(lambda: on_tick_data(bench, EUR, FeedClosed))
    held, ended = len(told(bench, topic, Watermark)), len(on_tick_data(bench, EUR))
    bench.step_until(lambda: len(told(bench, topic, Watermark)) > held + 2)
    assert len(on_tick_data(bench, EUR)) == ended
    ensure_markets([EUR])
    bench.step_until(lambda: len(on_tick_data(bench, EUR, FeedOpened)) == 2)
    again = on_tick_data(bench, EUR, FeedOpened)[1]
    assert again.start > on_tick_data(bench, EUR, FeedClosed)[0].stop
    bench.step_until(lambda: on_tick_data(bench, EUR)[-1].n > again.n)
    assert whole(bench.records()) and whole(told(bench, topic))
    assert len(told(bench, topic, FeedOpened)) == 1 and not told(bench, topic, FeedClosed)
    assert [row["event"] for row in bench.simulator.sent() if row["event"] == "unsubscribed"] == []


def test_after_a_lost_socket_every_route_opens_anew(bench: Bench) -> None:
    live(bench)
    topics = [routed(bench, BTC), routed(bench, SOL)]
    bench.simulator.fault("drop", seconds=0)
    bench.step_until(lambda: all(len(told(bench, topic, FeedOpened)) == 2 for topic in topics))
    for topic in topics:
        records = told(bench, topic)
        assert whole(records) and len({record.feed for record in records}) == 2
        (closed,) = told(bench, topic, FeedClosed)
        assert closed.stop and "socket" in closed.reason
    assert told(bench, topics[0], FeedOpened)[1].replayed, "begun with the subscription, so its replay is carried"


def test_a_broker_that_is_away_holds_every_topic_and_loses_none(bench: Bench) -> None:
    live(bench)
    topics = [routed(bench, BTC), routed(bench, SOL)]
    bench.broker.go_away("unplugged")
    bench.step_until(lambda: bench.state() == State.ERROR)
    bench.simulator.wait_until(bench.simulator.now() + 20)
    bench.broker.come_back()
    held = [len(told(bench, topic, Trade)) for topic in topics]
    bench.step_until(lambda: all(len(told(bench, t, Trade)) > n + 3 for t, n in zip(topics, held, strict=True)))
    assert whole(bench.records()) and all(whole(told(bench, topic)) for topic in topics)
    assert lossless(bench, BTC) and lossless(bench, EUR)
    assert not DynamicTopic.objects.exclude(route_error=None).exists()


def route_faults() -> int:
    return TransitionLog.objects.filter(kind="producer", event="RESET", by="route fault").count()


def test_a_missing_topic_ends_its_route_and_the_fixed_topic_loses_nothing(bench: Bench) -> None:
    live(bench)
    other = routed(bench, BTC)
    topic = topic_of(bench, SOL, made=False)
    bench.step_until(DynamicTopic.objects.exclude(route_error=None).exists)
    topic.refresh_from_db()
    assert "there is no topic" in (topic.route_error or "")
    assert (topic.routed_at, topic.state) == (None, Topic.NOTIFYING)
    failure = TransitionLog.objects.get(event="PUBLISH_FAILURE")
    assert failure.source == "publishing_to_dynamic_topics" and topic.name in failure.reason
    assert route_faults() == 1
    held, marks = bench.count(Trade), len(told(bench, other, Watermark))
    bench.step_until(lambda: bench.count(Trade) > held + 5 and len(told(bench, other, Watermark)) > marks + 2)
    assert lossless(bench, BTC) and lossless(bench, EUR) and whole(bench.records()) and whole(told(bench, other))
    assert not bench.count(FeedClosed) and not told(bench, other, FeedClosed)
    assert Producer.objects.get().error_count == 0
    bench.step_until(lambda: SOL not in sockets(bench))


def test_a_topic_that_goes_missing_on_the_way_does_not_touch_the_others(bench: Bench) -> None:
    live(bench)
    topic = routed(bench, BTC)
    bench.broker.admin().delete_topic(topic.name)
    bench.step_until(DynamicTopic.objects.exclude(route_error=None).exists)
    held = bench.count(Trade)
    bench.step_until(lambda: bench.count(Trade) > held + 5)
    assert lossless(bench, BTC) and not bench.count(FeedClosed)


def test_a_record_that_a_dynamic_topic_refuses_ends_its_route(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    live(bench)
    topic = routed(bench, BTC)
    publish = MemoryPublisher.publish

    def refuse(publisher: MemoryPublisher, to: str, messages: Sequence[Message]) -> None:
        if to == topic.name:
            raise BadRecord("record 0: too long", 0)
        publish(publisher, to, messages)

    monkeypatch.setattr(MemoryPublisher, "publish", refuse)
    bench.step_until(DynamicTopic.objects.exclude(route_error=None).exists)
    held = bench.count(Trade)
    bench.step_until(lambda: bench.count(Trade) > held + 5)
    assert "too long" in (DynamicTopic.objects.get().route_error or "")
    assert lossless(bench, BTC) and not bench.count(FeedClosed) and route_faults() == 1


def test_a_market_that_the_provider_refuses_is_its_topics_error_alone(bench: Bench) -> None:
    live(bench)
    before = REFUSED.labels("dynamic", "subscription")._value.get()
    topic_of(bench, "coinbase:NOPE-USD")
    bench.step_until(DynamicTopic.objects.exclude(route_error=None).exists)
    topic = DynamicTopic.objects.get()
    assert "INVALID_SUB" in (topic.route_error or "") and topic.routed_at is None
    assert REFUSED.labels("dynamic", "subscription")._value.get() > before
    held = bench.count(Watermark)
    bench.step_until(lambda: bench.count(Watermark) > held + 3)
    assert not bench.count(FeedClosed)


def test_a_refused_stream_where_nothing_is_followed_stops_no_later_one(bench: Bench) -> None:
    for symbol in (BTC, EUR):
        unfollow(market_of(symbol))  # type: ignore[arg-type]
    topic_of(bench, "coinbase:NOPE-USD")
    bench.step_until(DynamicTopic.objects.exclude(route_error=None).exists)
    topic = routed(bench, SOL)
    assert not TransitionLog.objects.filter(target=State.ERROR).exists()
    assert whole(told(bench, topic)) and not bench.records()


def test_a_market_that_was_refused_is_asked_for_again_by_a_new_stream(bench: Bench) -> None:
    live(bench)
    ensure_markets(["coinbase:NOPE-USD"])
    bench.step_until(DeadLetter.objects.exists)
    topic_of(bench, "coinbase:NOPE-USD")
    bench.step_until(DynamicTopic.objects.exclude(route_error=None).exists)
    assert "INVALID_SUB" in (DynamicTopic.objects.get().route_error or "")
    assert DeadLetter.objects.count() == 1 and not bench.count(FeedClosed)


def test_a_market_whose_channel_gets_another_name_begins_anew_under_it(bench: Bench) -> None:
    live(bench)
    topic = routed(bench, SOL)
    DynamicTopic.objects.update(state=Topic.LIVE)
    Market.objects.filter(symbol=SOL).update(provider_base="NOPE")
    bench.step_until(lambda: told(bench, topic, FeedClosed))
    assert told(bench, topic)[-1].reason == "the market's channel changed"
    bench.step_until(DynamicTopic.objects.exclude(route_error=None).exists)
    assert "NOPE" in (DynamicTopic.objects.get().route_error or "")
    assert whole(told(bench, topic)) and not bench.count(FeedClosed)


def test_the_end_of_a_span_reaches_its_topic_though_the_provider_refuses_what_follows_at_once(bench: Bench) -> None:
    live(bench)
    topic = routed(bench, SOL)
    DynamicTopic.objects.update(state=Topic.LIVE)
    Market.objects.filter(symbol=SOL).update(provider_base="NOPE")
    producer = bench.runner.work
    assert isinstance(producer, LiveProducer)
    (line,) = producer._lines
    producer._refresh()  # the old feed's end is made, and published by the turn that also reads the refusal
    arrivals = line.connection._reader._arrivals
    until("the refusal has come", lambda: any(b"NOPE" in getattr(arrival, "raw", b"") for arrival in list(arrivals)))
    bench.step_until(DynamicTopic.objects.exclude(route_error=None).exists)
    assert [record.reason for record in told(bench, topic, FeedClosed)] == ["the market's channel changed"]
    assert isinstance(told(bench, topic)[-1], FeedClosed) and whole(told(bench, topic))


def test_a_producer_that_was_taken_over_answers_for_no_topic(bench: Bench) -> None:
    live(bench)
    topic_of(bench, SOL, Topic.RETIRING)
    with Producer.locked("producer-live-1") as row:
        row.epoch += 1
    assert isinstance(bench.runner.work, LiveProducer)
    with pytest.raises(Fenced):
        bench.runner.work._refresh()
    assert DynamicTopic.objects.get().route_ended_at is None


def test_each_kind_of_topic_has_cycles_of_its_own(bench: Bench) -> None:
    live(bench)
    routed(bench, BTC)
    edges = set(TransitionLog.objects.filter(event="DATA_READY").values_list("target", flat=True))
    assert edges == {State.PUBLISHING_TO_FIXED_TOPICS, State.PUBLISHING_TO_DYNAMIC_TOPICS}
    assert set(TransitionLog.objects.filter(event="PUBLISH_SUCCESS").values_list("source", flat=True)) == edges


@pytest.mark.slow
@pytest.mark.parametrize("listed", [SOL, "mexc:币安人生-USDT"])
def test_a_route_lives_and_ends_on_valkey(transactional_db: None, tmp_path: Path, settings: Any, listed: str) -> None:
    ensure_markets([BTC])
    options = ("--markets", BTC, "--listed", listed, "--speed", "20")
    with running(tmp_path, *options) as simulator, private_valkey() as server:
        settings.STREAM_URL, settings.CRYPTOCOMPARE_WS_URL = server.url, simulator.ws_url
        settings.STALE_AFTER = 900
        runner = Runner(LiveProducer(PROVIDERS["cryptocompare"]), Event())
        bench = Bench(simulator, connect(server.url, 100_000), runner)  # type: ignore[arg-type]
        topic = routed(bench, listed)
        missing = topic_of(bench, BTC, made=False)
        bench.step_until(DynamicTopic.objects.filter(pk=missing.pk).exclude(route_error=None).exists)
        DynamicTopic.objects.filter(pk=topic.pk).update(state=Topic.RETIRING)
        bench.step_until(DynamicTopic.objects.exclude(route_ended_at=None).exists)
        bench.runner.end()
        assert whole(told(bench, topic)) and isinstance(told(bench, topic)[-1], FeedClosed)
        assert lossless(bench, BTC) and whole(bench.records()) and not on_tick_data(bench, listed)
