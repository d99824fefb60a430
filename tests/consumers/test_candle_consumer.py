from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest
from django.conf import settings
from django_redis import get_redis_connection

from actor_runtime.loop.runner import Runner
from consumers.fixed_consumer_actor import FixedTopicWork
from consumers.models import FixedTopicConsumer
from datastore.backfill import fetch_queue
from datastore.ingest.market_cache import market_key
from datastore.models import Coverage, DeadLetter, FetchRequest, Market, ProviderCandle
from datastore.reference.markets import ensure_markets
from streaming.broker import Broker, Message
from streaming.broker_factory import connect
from streaming.history_records import HistoryRecord, encode_history
from streaming.topics import CONSUMER_GROUP
from tests.support.datastore.answers import answered, candle, done, minutes
from tests.support.datastore.records import BTC, MINUTE, NOON, moment
from tests.support.polling import until

TOPIC = "candle-data"
State = FetchRequest.State


@pytest.fixture
def broker(transactional_db: None) -> Iterator[Broker]:
    ensure_markets([BTC])
    get_redis_connection("default").flushall()
    found = connect(settings.STREAM_URL, settings.STREAM_MAXLEN)
    found.admin().create_topic(TOPIC)
    yield found


def publish(broker: Broker, *records: HistoryRecord) -> None:
    broker.publisher().publish(TOPIC, [Message(record.market, encode_history(record)) for record in records])


def published_request() -> FetchRequest:
    """Return a request for five minutes whose job has published all of it."""
    (request,) = fetch_queue.enqueue(Market.objects.get(), 60, moment(NOON), moment(NOON + 5 * MINUTE), 0)
    fetch_queue.start(request.pk, "job")
    fetch_queue.mark_published(request.pk, "job")
    return request


def work_until(runner: Runner, state: str, request: FetchRequest, seconds: float = 20) -> FetchRequest:
    found = FetchRequest.objects.filter(pk=request.pk, state=state)
    return until(
        lambda: (list(FetchRequest.objects.values()), FixedTopicConsumer.objects.values()),
        found.first,
        seconds,
        step=runner.step,
    )


def test_pages_become_candles_and_coverage_and_end_their_request(broker: Broker) -> None:
    request = published_request()
    span = answered(NOON, NOON + 5 * MINUTE, candles=3, request=request.pk)
    publish(broker, *minutes(0, 2, 4, start=NOON), span, done(request.pk))
    runner = Runner(FixedTopicWork(TOPIC), Event())
    work_until(runner, State.DONE, request)
    runner.end()
    assert ProviderCandle.objects.count() == 3
    assert (Coverage.objects.get().source, Coverage.objects.get().resolution) == ("provider", 60)
    assert FixedTopicConsumer.objects.get().name.startswith("fixed-candle")
    market = Market.objects.get()
    assert int(get_redis_connection("default").hget(market_key(BTC), "version")) == market.version == 1
    assert broker.subscribe(CONSUMER_GROUP, [TOPIC]).lag() == 0


def test_a_record_that_cannot_be_read_or_be_true_is_buried_and_the_rest_is_stored(broker: Broker) -> None:
    request = published_request()
    broker.publisher().publish(TOPIC, [Message(BTC, b'{"type":"provider_candle"}')])
    publish(broker, candle(NOON + 1), candle(NOON), answered(NOON, NOON + 5 * MINUTE), done(request.pk))
    runner = Runner(FixedTopicWork(TOPIC), Event())
    work_until(runner, State.DONE, request)
    runner.end()
    reasons = sorted(DeadLetter.objects.values_list("reason", flat=True))
    assert len(reasons) == 2 and "not whole buckets of a resolution" in reasons
    assert ProviderCandle.objects.count() == 1


def test_a_request_whose_pages_were_flushed_is_queued_again_for_what_is_missing(broker: Broker) -> None:
    request = published_request()
    publish(broker, answered(NOON + 3 * MINUTE, NOON + 5 * MINUTE))
    runner = Runner(FixedTopicWork(TOPIC), Event())
    until("a page is stored", Coverage.objects.exists, step=runner.step)
    publish(broker, answered(NOON, NOON + 3 * MINUTE), done(request.pk))
    get_redis_connection("default").flushall()
    found = work_until(runner, State.QUEUED, request)
    runner.end()
    assert (found.start, found.reached) == (moment(NOON), moment(NOON + 3 * MINUTE))
    assert found.error == "the answer left out 3 buckets"
