from __future__ import annotations

import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.db.models.functions import Now
from django_redis import get_redis_connection

from actors.models import TransitionLog
from actors.resets import reset
from actors.runner import Runner
from datastore.history import store_history
from datastore.intervals import micros_of, moment
from datastore.markets import ensure_markets
from datastore.models import FetchRequest, ProviderClock
from datastore.models import ProviderCandle as Stored
from ingestion import history_actor, tasks
from ingestion.budget import Budget
from ingestion.history_actor import HistoryProducer, fetch
from ingestion.models import Producer
from ingestion.pool import make_pool
from streaming.connect import connect
from streaming.history import FetchDone, FetchFailed, ProviderCandle, ProviderSpan, decode_history
from streaming.memory import MemoryBroker
from streaming.port import Record
from tests.simulator.running import Simulator, running

BTC, DOGE = "coinbase:BTC-USD", "coinbase:DOGE-USD"
MINUTE, HOUR, DAY = 60, 3600, 86_400
State, Actor = FetchRequest.State, Producer.State


@dataclass
class Bench:
    """History producers between a real simulator and a broker in memory."""

    simulator: Simulator
    broker: MemoryBroker

    def ask(self, buckets: int, resolution: int = MINUTE, *, ended: int = 120, symbol: str = BTC) -> FetchRequest:
        """Ask for the buckets before the one that ended so many seconds ago."""
        stop = (int(self.simulator.now()) - ended) // resolution * resolution
        (market,) = ensure_markets([symbol])
        start = moment((stop - buckets * resolution) * 1_000_000)
        return FetchRequest.objects.create(
            market=market, resolution=resolution, start=start, stop=moment(stop * 1_000_000), purpose=0
        )

    def records(self, kind: type[Any] = object) -> list[Any]:
        reader = self.broker.subscribe(uuid.uuid4().hex, ["candle-data"])
        found = decode_history([record.value for record in reader.poll(0, 1_000_000)])
        return [record for record in found if isinstance(record, kind)]

    def calls(self) -> int:
        counts = self.simulator.get("/control/stats")["rest_calls"]
        return sum(count for path, count in counts.items() if "histo" in path)


@pytest.fixture
def bench(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Bench]:
    name = uuid.uuid4().hex
    with running(tmp_path, "--markets", BTC, "--rate", "6") as simulator:
        settings.STREAM_URL = f"memory://{name}"
        settings.CRYPTOCOMPARE_REST_URL = simulator.rest_url
        get_redis_connection("default").delete("ck:budget:history:calls", "ck:budget:history:pause")
        yield Bench(simulator, MemoryBroker.named(name, django_settings.STREAM_MAXLEN))
        MemoryBroker.forget(name)
        get_redis_connection("default").delete("ck:budget:history:calls", "ck:budget:history:pause")


@pytest.fixture
def silent_provider(bench: Bench, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A provider that takes calls and does not answer them."""
    monkeypatch.setattr(history_actor, "RENEW_EVERY", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.CRYPTOCOMPARE_REST_URL = f"http://127.0.0.1:{server.getsockname()[1]}"
        yield


def wait_for(done: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, list(Producer.objects.values())


def fetched(request: FetchRequest) -> FetchRequest:
    fetch(request.pk, Event())
    request.refresh_from_db()
    return request


def stepped(request: FetchRequest, done: Callable[[], Any], seconds: float = 20) -> Runner:
    """Step a job until done() or its end."""
    make_pool()
    runner = Runner(HistoryProducer(request.pk), Event())
    deadline = time.monotonic() + seconds
    while not runner.stop.is_set() and not done():
        assert time.monotonic() < deadline, list(Producer.objects.values())
        runner.stop.wait(min(runner.step(), 0.05))
    return runner


def covered(spans: list[ProviderSpan], request: FetchRequest) -> bool:
    """Tell whether spans, newest first, hold exactly what was asked for."""
    edges = [(span.start, span.stop) for span in reversed(spans)]
    joined = all(before[1] == after[0] for before, after in pairwise(edges))
    return joined and (edges[0][0], edges[-1][1]) == (micros_of(request.start), micros_of(request.stop))


def states() -> set[str]:
    return set(Producer.objects.values_list("state", flat=True))


def events() -> list[str]:
    return list(TransitionLog.objects.order_by("id").values_list("event", flat=True))


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


def test_a_killed_job_is_gone_on_with_below_what_was_acknowledged(bench: Bench) -> None:
    request = bench.ask(4500)
    first = stepped(request, lambda: FetchRequest.objects.filter(pages_done=1).exists())
    first.work.close()  # nothing is given back: as a kill has it
    FetchRequest.objects.update(lease_until=Now() - timedelta(seconds=1))
    fetched(request)
    assert bench.calls() == 3
    assert [span.page for span in bench.records(ProviderSpan)] == [1, 2, 3]
    assert covered(bench.records(ProviderSpan), request)


def test_a_stopped_job_gives_its_request_back_at_once(bench: Bench) -> None:
    request = bench.ask(4500)
    job = stepped(request, lambda: FetchRequest.objects.filter(pages_done=1).exists())
    job.stop.set()
    job.end()
    assert isinstance(job.work, HistoryProducer)
    job.work.let_go()
    request.refresh_from_db()
    assert (request.state, request.lease_until) == (State.QUEUED, None)
    assert fetched(request).state == State.PUBLISHED
    assert bench.calls() == 3


def test_two_jobs_for_one_request_fetch_it_once(bench: Bench) -> None:
    request = bench.ask(4500)
    job = stepped(request, lambda: FetchRequest.objects.filter(pages_done=1).exists())
    fetch(request.pk, Event())  # ends at once
    request.refresh_from_db()
    assert (request.state, request.pages_done, bench.calls()) == (State.FETCHING, 1, 1)
    job.end()


def test_a_job_that_lost_its_request_stops_and_leaves_its_row_free(bench: Bench) -> None:
    request = bench.ask(4500)
    job = stepped(request, lambda: FetchRequest.objects.filter(pages_done=1).exists())
    FetchRequest.objects.update(worker="somebody else")
    while not job.stop.is_set():
        job.stop.wait(min(job.step(), 0.05))
    job.end()
    request.refresh_from_db()
    assert (request.state, request.worker, bench.calls()) == (State.FETCHING, "somebody else", 1)
    assert states() == {Actor.IDLE}


def test_an_unknown_market_fails_its_request_and_history_goes_on(bench: Bench) -> None:
    request = fetched(bench.ask(100, symbol=DOGE))
    (failed,) = bench.records(FetchFailed)
    assert (failed.final, failed.start, failed.stop) == (True, micros_of(request.start), micros_of(request.stop))
    assert "no data for the symbol DOGE" in failed.reason
    assert (request.state, states()) == (State.PUBLISHED, {Actor.IDLE})
    assert events()[-2:] == ["FETCH_FAILURE", "RESET"]
    assert TransitionLog.objects.get(event="RESET").by == "request fault"
    assert fetched(bench.ask(10)).state == State.PUBLISHED


def test_what_is_older_than_the_provider_keeps_is_refused_behind_the_pages_that_are_not(bench: Bench) -> None:
    request = fetched(bench.ask(12 * 1440))
    (failed,) = bench.records(FetchFailed)
    spans = bench.records(ProviderSpan)
    assert failed.final
    assert "only available for the last 7 days" in failed.reason
    assert (failed.start, failed.stop) == (micros_of(request.start), spans[-1].start)
    assert len(spans) == 6  # 7 days are 5.04 pages, and a page that reaches beyond them is answered whole
    assert bench.records(FetchDone) == []


def test_an_error_of_the_providers_is_tried_again_and_passes(bench: Bench) -> None:
    bench.simulator.fault("error", seconds=1.5)
    request = fetched(bench.ask(10))
    assert request.state == State.PUBLISHED
    assert {"FETCH_FAILURE", "RESET"} <= set(events())


def test_an_error_that_lasts_sends_the_request_back_and_frees_the_row(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_actor, "PATIENCE", 1.5)
    bench.simulator.fault("error", seconds=3600)
    request = fetched(bench.ask(10))
    assert (request.state, request.error) == (State.QUEUED, "the provider answers HTTP 503")
    assert FetchRequest.objects.filter(next_try__gt=Now()).exists()
    assert states() == {Actor.IDLE}
    bench.simulator.fault("reset")
    assert fetched(request).state == State.PUBLISHED
    assert not Producer.objects.exclude(error_count=0).exists()


def test_a_rate_limit_in_the_body_holds_every_job(bench: Bench) -> None:
    bench.simulator.fault("ratelimit", seconds=3600)
    request = fetched(bench.ask(10))
    assert request.state == State.QUEUED
    assert "rate limit" in (request.error or "")
    assert 8 < Budget().take() <= 10
    other = fetched(bench.ask(20))
    assert (other.state, other.error) == (State.QUEUED, "the rate budget is used up")
    assert bench.calls() == 1


def test_a_short_wait_for_the_budget_is_waited_for(bench: Bench) -> None:
    Budget().pause(1)
    assert fetched(bench.ask(10)).state == State.PUBLISHED
    assert "FETCH_FAILURE" not in events()


def test_a_refused_key_stops_the_pool_until_a_person_resets(bench: Bench) -> None:
    bench.simulator.fault("unauthorized", seconds=3600)
    request, other = bench.ask(10), bench.ask(20)
    assert fetched(request).state == State.QUEUED
    row = Producer.objects.get(state=Actor.ERROR)
    assert (row.reset_at, row.owner) == (None, "")
    assert "API key required" in (row.last_error or "")
    bench.simulator.fault("reset")
    assert fetched(other).state == State.QUEUED
    assert "waits for a reset" in (other.error or "")
    assert bench.calls() == 1
    reset(Producer, row.name, by="a test")
    assert fetched(request).state == State.PUBLISHED


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


def test_a_job_whose_row_was_taken_over_ends_and_queues_its_request(bench: Bench) -> None:
    request = bench.ask(4500)
    job = stepped(request, lambda: FetchRequest.objects.filter(pages_done=1).exists())
    with Producer.locked("producer-history-1") as row:
        row.epoch += 1
    while not job.stop.is_set():
        job.stop.wait(min(job.step(), 0.05))
    job.end()
    assert isinstance(job.work, HistoryProducer)
    job.work.let_go()
    request.refresh_from_db()
    assert (request.state, len(bench.records(ProviderSpan))) == (State.QUEUED, 1)
    assert states() == {Actor.IDLE}


def test_a_provider_that_does_not_answer_is_an_error_that_is_tried_again(bench: Bench, silent_provider: None) -> None:
    job = stepped(bench.ask(10), lambda: Producer.objects.filter(state=Actor.ERROR).exists())
    row = Producer.objects.get(state=Actor.ERROR)
    assert "no whole answer within 1 s" in (row.last_error or "")
    assert row.reset_at is not None
    job.end()


@pytest.mark.parametrize(
    "take_away",
    [
        lambda: FetchRequest.objects.update(worker="somebody else"),
        lambda: Producer.objects.filter(name="producer-history-1").update(epoch=77),
    ],
)
def test_what_is_taken_away_while_an_answer_is_awaited_ends_the_job(
    bench: Bench, silent_provider: None, monkeypatch: pytest.MonkeyPatch, take_away: Callable[[], int]
) -> None:
    monkeypatch.setattr(history_actor, "RENEWALS", 600)
    request = bench.ask(10)
    thread = threading.Thread(target=run_task, args=[request.pk])
    thread.start()
    wait_for(lambda: Producer.objects.filter(state=Actor.FETCHING_DATA).exists())
    assert take_away() == 1
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_a_job_that_is_stopped_does_not_wait_for_the_answer(
    bench: Bench, silent_provider: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_actor, "RENEWALS", 600)
    request = bench.ask(10)
    thread = threading.Thread(target=run_task, args=[request.pk])
    thread.start()
    wait_for(lambda: Producer.objects.filter(state=Actor.FETCHING_DATA).exists())
    tasks.end_jobs()
    thread.join(timeout=10)
    request.refresh_from_db()
    assert (request.state, request.error) == (State.QUEUED, "the job was stopped")
    settings.CRYPTOCOMPARE_REST_URL = bench.simulator.rest_url
    assert fetched(request).state == State.PUBLISHED


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


def test_history_of_another_provider_is_not_taken(bench: Bench) -> None:
    ProviderClock.objects.create(provider="another")
    request = fetched(bench.ask(10))
    assert (request.state, request.error) == (State.QUEUED, "another provider answers")
    assert (states() & {Actor.ERROR}, bench.broker.admin().topics()) == ({Actor.ERROR}, {"candle-data"})
    assert bench.records() == []


def test_a_page_that_the_broker_refused_is_sent_again_and_not_asked_again(bench: Bench) -> None:
    request = bench.ask(2500)
    job = stepped(request, lambda: FetchRequest.objects.filter(pages_done=1).exists())
    bench.broker.go_away("unplugged")
    while Producer.objects.filter(name="producer-history-1", state=Actor.ERROR).count() == 0:
        job.step()
    bench.broker.come_back()
    deadline = time.monotonic() + 20
    while not job.stop.is_set():
        assert time.monotonic() < deadline
        job.stop.wait(min(job.step(), 0.05))
    job.end()
    assert covered(bench.records(ProviderSpan), request)
    assert (bench.calls(), len(bench.records(ProviderCandle))) == (2, 2500)
    assert "PUBLISH_FAILURE" in events()


def test_jobs_of_a_pool_run_side_by_side_on_rows_of_their_own(bench: Bench) -> None:
    requests = [bench.ask(2500), bench.ask(100, HOUR, ended=2 * HOUR), bench.ask(50, DAY, ended=2 * DAY)]
    jobs = []
    for request in requests:
        jobs.append(stepped(request, lambda: FetchRequest.objects.filter(state=State.FETCHING).count() > len(jobs)))
    assert sorted(Producer.objects.exclude(owner="").values_list("name", flat=True)) == [
        f"producer-history-{number}" for number in (1, 2, 3)
    ]
    for job in jobs:
        job.end()


def test_the_task_fetches_and_a_worker_that_ends_stops_its_jobs(bench: Bench) -> None:
    request = bench.ask(10)
    assert tasks.fetch.name == "ingestion.fetch"
    tasks.fetch(request.pk)
    request.refresh_from_db()
    assert request.state == State.PUBLISHED
    waiting = bench.ask(20)
    Budget().pause(7)
    thread = threading.Thread(target=run_task, args=[waiting.pk])
    thread.start()
    wait_for(lambda: Producer.objects.filter(waiting_for="the rate budget").exists())
    tasks.end_jobs()
    thread.join(timeout=10)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.error) == (State.QUEUED, "the job was stopped")


def run_task(request_id: int) -> None:
    try:
        tasks.fetch(request_id)
    finally:
        connection.close()
