"""Jobs of history: killed, stopped, robbed of their row or request, and side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.db.models.functions import Now

from datastore.models import FetchRequest
from ingestion import tasks
from ingestion.history import job_calls, topic_room
from ingestion.history.history_producer_actor import HistoryProducer, fetch
from ingestion.history.provider_quota import quota_of
from ingestion.models import Producer
from ingestion.providers.cryptocompare.traits import TRAITS
from streaming.history_records import ProviderSpan
from streaming.topics import CANDLE_DATA, CONSUMER_GROUP
from tests.support.ingestion.history_bench import (
    DAY,
    HOUR,
    Actor,
    Bench,
    State,
    covered,
    fetched,
    run_task,
    states,
    stepped,
)
from tests.support.polling import until


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
    job.work.release()
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
    FetchRequest.objects.update(worker="someone else")
    until("the job ends", job.stop.is_set, step=job.step)
    job.end()
    request.refresh_from_db()
    assert (request.state, request.worker, bench.calls()) == (State.FETCHING, "someone else", 1)
    assert states() == {Actor.IDLE}


def test_a_job_whose_row_was_taken_over_ends_and_queues_its_request(bench: Bench) -> None:
    request = bench.ask(4500)
    job = stepped(request, lambda: FetchRequest.objects.filter(pages_done=1).exists())
    with Producer.locked("producer-history-1") as row:
        row.epoch += 1
    until("the job ends", job.stop.is_set, step=job.step)
    job.end()
    assert isinstance(job.work, HistoryProducer)
    job.work.release()
    request.refresh_from_db()
    assert (request.state, len(bench.records(ProviderSpan))) == (State.QUEUED, 1)
    assert states() == {Actor.IDLE}


@pytest.mark.parametrize(
    "take_away",
    [
        lambda: FetchRequest.objects.update(worker="someone else"),
        lambda: Producer.objects.filter(name="producer-history-1").update(epoch=77),
    ],
)
def test_what_is_taken_away_while_an_answer_is_awaited_ends_the_job(
    bench: Bench, silent_provider: None, monkeypatch: pytest.MonkeyPatch, take_away: Callable[[], int]
) -> None:
    monkeypatch.setattr(job_calls, "MAX_RENEWALS", 600)
    request = bench.ask(10)
    thread = threading.Thread(target=run_task, args=[request.pk])
    thread.start()
    until("a page is asked for", Producer.objects.filter(state=Actor.FETCHING_DATA).exists)
    assert take_away() == 1
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_a_job_that_is_stopped_does_not_wait_for_the_answer(
    bench: Bench, silent_provider: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_calls, "MAX_RENEWALS", 600)
    request = bench.ask(10)
    thread = threading.Thread(target=run_task, args=[request.pk])
    thread.start()
    until("a page is asked for", Producer.objects.filter(state=Actor.FETCHING_DATA).exists)
    tasks.end_jobs()
    thread.join(timeout=10)
    request.refresh_from_db()
    assert (request.state, request.error) == (State.QUEUED, "the job was stopped")
    settings.CRYPTOCOMPARE_REST_URL = bench.simulator.rest_url
    assert fetched(request).state == State.PUBLISHED


def test_a_job_waits_for_the_consumer_and_others_pass_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_room, "MAX_UNREAD_RECORDS", 2_000)
    request = bench.ask(4500)
    job = stepped(request, lambda: FetchRequest.objects.filter(pages_done=1).exists())
    until("it waits", Producer.objects.filter(waiting_for="the consumer of candle-data").exists, step=job.step)
    assert fetched(bench.ask(10)).state == State.PUBLISHED
    assert (bench.calls(), job.stop.is_set()) == (2, False)

    consumer = bench.broker.subscribe(CONSUMER_GROUP, [CANDLE_DATA.name])

    def store_and_step() -> float:
        consumer.commit(consumer.poll(0, 10_000))
        return job.step()

    until("the job ends", job.stop.is_set, step=store_and_step)
    job.end()
    request.refresh_from_db()
    assert (request.state, request.pages_done, bench.calls()) == (State.PUBLISHED, 3, 4)
    consumer.close()


def test_a_job_does_not_wait_for_a_consumer_that_is_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_room, "MAX_UNREAD_RECORDS", 2_000)
    monkeypatch.setattr(topic_room, "MAX_JOB_WAIT_S", 0.3)
    request = fetched(bench.ask(4500))
    assert (request.state, request.pages_done) == (State.QUEUED, 1)
    assert request.error == "2001 records of candle-data are not stored yet"
    assert request.next_try is not None
    assert states() == {Actor.IDLE}


def test_jobs_of_a_pool_run_side_by_side_on_rows_of_their_own(bench: Bench) -> None:
    requests = [bench.ask(2500), bench.ask(100, HOUR, ended=2 * HOUR), bench.ask(50, DAY, ended=2 * DAY)]
    jobs: list[Any] = []
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
    quota_of(TRAITS).pause(7)
    thread = threading.Thread(target=run_task, args=[waiting.pk])
    thread.start()
    until("it waits", Producer.objects.filter(waiting_for="the rate budget").exists)
    tasks.end_jobs()
    thread.join(timeout=10)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.error) == (State.QUEUED, "the job was stopped")
