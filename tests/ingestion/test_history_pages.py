"""Pages of history: asked for, published in order, equal to the provider's."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now

from datastore.backfill.history_write import store_history
from datastore.models import FetchRequest
from datastore.models import ProviderCandle as Stored
from datastore.reference.markets import ensure_markets
from datastore.timeframes.intervals import micros_of
from ingestion.models import Producer
from streaming.broker import Record
from streaming.broker_factory import connect
from streaming.history_records import FetchDone, ProviderCandle, ProviderSpan, decode_history
from tests.support.ingestion.history_bench import (
    BTC,
    DAY,
    DOGE,
    HOUR,
    Actor,
    Bench,
    State,
    covered,
    events,
    fetched,
    states,
    stepped,
)
from tests.support.polling import until


def test_a_request_is_published_page_by_page_newest_first_and_ends_with_done(bench: Bench) -> None:
    request = fetched(bench.ask(4500))
    spans = bench.records(ProviderSpan)
    assert covered(spans, request)
    assert [(span.page, span.pages) for span in spans] == [(1, 3), (2, 3), (3, 3)]
    assert [span.candles for span in spans] == [2000, 2000, 500]
    assert isinstance(bench.records()[-1], FetchDone)
    assert (request.state, request.reached, request.pages_done) == (State.PUBLISHED, request.start, 3)
    assert bench.calls() == 3
    assert states() == {Actor.IDLE}
    assert {row.owner for row in Producer.objects.all()} == {""}


def test_every_candle_is_the_providers_row_to_the_digit(bench: Bench) -> None:
    request = fetched(bench.ask(30, HOUR, ended=2 * HOUR))
    stop = int(request.stop.timestamp())
    path = f"/data/v2/histohour?fsym=BTC&tsym=USD&e=Coinbase&limit=29&toTs={stop - HOUR}"
    theirs = {row["time"]: row for row in bench.simulator.get(path)["Data"]["Data"]}
    ours = bench.records(ProviderCandle)
    assert len(ours) == 30
    for candle in ours:
        row = theirs[candle.open_time // 1_000_000]
        for name, field in (("open", "open"), ("close", "close"), ("volume", "volumefrom"), ("high", "high")):
            assert getattr(candle, name) == Decimal(row[field]), name


def test_years_without_a_trade_are_covered_and_their_zeros_named(bench: Bench) -> None:
    (market,) = ensure_markets([BTC])
    start = datetime.fromisoformat("2017-12-30T00:00:00+00:00")
    request = FetchRequest.objects.create(
        market=market, resolution=DAY, start=start, stop=start + timedelta(days=4), purpose=3
    )
    fetched(request)
    (span,) = bench.records(ProviderSpan)
    assert span.zeros == (micros_of(start), micros_of(start + timedelta(days=1)))
    assert len(bench.records(ProviderCandle)) == 2


def test_what_is_not_final_leaves_the_request_and_the_rest_is_answered(bench: Bench) -> None:
    request = bench.ask(100, ended=0)
    asked = request.stop
    fetched(request)
    assert request.state == State.PUBLISHED
    assert asked - timedelta(minutes=2) <= request.stop < asked
    assert covered(bench.records(ProviderSpan), request)


def test_a_request_that_is_not_final_at_all_waits_until_it_is(bench: Bench) -> None:
    request = fetched(bench.ask(1, ended=-10))
    assert (request.state, bench.records()) == (State.QUEUED, [])
    assert "not final" in (request.error or "")
    soon = FetchRequest.objects.filter(next_try__gt=Now(), next_try__lt=Now() + timedelta(minutes=3))
    assert soon.exists()
    assert states() == {Actor.IDLE}


@pytest.mark.usefixtures("room_for_all")
def test_what_is_fetched_can_be_stored_and_ends_the_request(bench: Bench) -> None:
    requests = [bench.ask(2500), bench.ask(30, HOUR, ended=2 * HOUR), bench.ask(12 * 1440, symbol=BTC, ended=2 * DAY)]
    unknown = bench.ask(100, symbol=DOGE)
    for request in (*requests, unknown):
        fetched(request)
    with transaction.atomic():
        store_history(bench.records())
    ends = [FetchRequest.objects.get(pk=request.pk).state for request in (*requests, unknown)]
    assert ends == [State.DONE, State.DONE, State.FAILED, State.FAILED]
    assert Stored.objects.filter(market__symbol=BTC, resolution=HOUR).count() == 30


def test_pages_are_published_to_the_real_stream(bench: Bench, settings: Any) -> None:
    settings.STREAM_URL = settings.REDIS_URL
    broker = connect(settings.REDIS_URL, settings.STREAM_MAXLEN)
    admin = broker.admin()
    admin.delete_topic("candle-data")
    request = fetched(bench.ask(2500))
    reader = broker.subscribe(uuid.uuid4().hex, ["candle-data"])
    polled: list[Record] = []
    while more := reader.poll(0.2, 5000):
        polled += more
    assert request.state == State.PUBLISHED
    kinds = Counter(type(record) for record in decode_history([record.value for record in polled]))
    assert kinds == {ProviderCandle: 2500, ProviderSpan: 2, FetchDone: 1}
    reader.close()
    admin.delete_topic("candle-data")
    admin.close()


def test_a_page_that_the_broker_refused_is_sent_again_and_not_asked_again(bench: Bench) -> None:
    request = bench.ask(2500)
    job = stepped(request, lambda: FetchRequest.objects.filter(pages_done=1).exists())
    bench.broker.go_away("unplugged")
    until("Error", Producer.objects.filter(name="producer-history-1", state=Actor.ERROR).exists, step=job.step)
    bench.broker.come_back()
    until("the job ends", job.stop.is_set, step=job.step)
    job.end()
    assert covered(bench.records(ProviderSpan), request)
    assert (bench.calls(), len(bench.records(ProviderCandle))) == (2, 2500)
    assert "PUBLISH_FAILURE" in events()
