"""What the provider may answer instead of a page, and what becomes of the request."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db.models.functions import Now

from actor_runtime.manual_reset import reset
from actor_runtime.models import TransitionLog
from datastore.models import FetchRequest, ProviderClock
from datastore.timeframes.intervals import SECOND_US, micros_of
from ingestion.history import job_calls
from ingestion.history.pool import ensure_pool
from ingestion.history.provider_quota import ProviderQuota, configured_windows, quota_of
from ingestion.history.rate_pause import pause_calls
from ingestion.models import Producer
from ingestion.providers.answers import RateLimited, Unavailable
from ingestion.providers.cryptocompare.rest import calls_left
from ingestion.providers.cryptocompare.traits import TRAITS
from simulator.rest import OVER_LIMIT
from streaming.history_records import FetchDone, FetchFailed, ProviderCandle, ProviderSpan
from tests.support.ingestion.history_bench import (
    DAY,
    DOGE,
    Actor,
    Bench,
    State,
    covered,
    events,
    fetched,
    states,
    stepped,
)


def test_an_unknown_market_fails_its_request_for_now_and_history_goes_on(bench: Bench) -> None:
    request = fetched(bench.ask(100, symbol=DOGE))
    (failed,) = bench.records(FetchFailed)
    assert (failed.final, failed.start, failed.stop) == (False, micros_of(request.start), micros_of(request.stop))
    assert "no data for the symbol DOGE" in failed.reason
    assert (request.state, states()) == (State.PUBLISHED, {Actor.IDLE})
    assert events()[-2:] == ["FETCH_FAILURE", "RESET"]
    assert TransitionLog.objects.get(event="RESET").by == "request fault"
    assert fetched(bench.ask(10)).state == State.PUBLISHED


@pytest.mark.usefixtures("room_for_all")
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
    monkeypatch.setattr(job_calls, "MAX_JOB_WAIT_S", 1.5)
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
    assert 8 < quota_of(TRAITS).take() <= 10
    other = fetched(bench.ask(20))
    assert other.state == State.QUEUED
    assert other.error == f"the rate budget is used up; the provider says: {OVER_LIMIT}"
    assert bench.calls() == 1


def test_a_day_whose_calls_are_used_up_is_waited_for_to_its_end_in_utc(bench: Bench) -> None:
    bench.simulator.fault("ratelimit", seconds=3600, window="day")
    assert fetched(bench.ask(10)).state == State.QUEUED
    left = DAY - bench.simulator.now() % DAY
    assert left - 1 <= quota_of(TRAITS).take() <= left + 60


def test_a_used_up_window_that_the_providers_own_count_contradicts_holds_for_a_minute() -> None:
    quota = ProviderQuota(uuid.uuid4().hex, configured_windows(TRAITS))
    told = calls_left({"second": 1, "minute": 300, "day": 1, "month": 1}, at=0)
    assert pause_calls(quota, RateLimited(86_400, "over"), lambda: told) == 60
    assert 59 < quota.take() <= 60
    assert quota.pause_reason() == "over"


def test_the_providers_own_count_shortens_a_wait_and_never_prolongs_it() -> None:
    quota = ProviderQuota(uuid.uuid4().hex, configured_windows(TRAITS))
    at = 1_795_475_940 * SECOND_US  # 23:19:00
    assert pause_calls(quota, RateLimited(86_400, "over"), lambda: calls_left({"day": 0}, at)) == 2460
    assert pause_calls(quota, RateLimited(600, "over"), lambda: calls_left({"day": 0}, at)) == 600
    assert pause_calls(quota, RateLimited(600, "over"), lambda: Unavailable("away")) == 600


def test_a_page_with_a_warning_is_published_and_slows_the_next_call(bench: Bench) -> None:
    bench.simulator.fault("spoil", seconds=3600, kind="warning")
    assert fetched(bench.ask(10)).state == State.PUBLISHED
    assert len(bench.records(ProviderCandle)) == 10
    assert 8 < quota_of(TRAITS).take() <= 10
    assert quota_of(TRAITS).pause_reason() == OVER_LIMIT


def test_times_that_are_not_written_as_whole_numbers_prove_their_minutes(bench: Bench) -> None:
    bench.simulator.fault("spoil", seconds=3600, kind="texts")
    request = fetched(bench.ask(10))
    assert covered(bench.records(ProviderSpan), request)


def test_a_market_that_does_not_exist_for_a_moment_is_fetched_afterwards(bench: Bench) -> None:
    bench.simulator.fault("spoil", seconds=3600, kind="missing")
    request = fetched(bench.ask(10))
    (failed,) = bench.records(FetchFailed)
    assert (failed.final, failed.reason) == (False, "market does not exist for this coin pair")
    bench.simulator.fault("reset")
    FetchRequest.objects.filter(pk=request.pk).update(state=State.QUEUED)
    assert fetched(request).state == State.PUBLISHED
    assert len(bench.records(ProviderCandle)) == 10


def test_a_short_wait_for_the_budget_is_waited_for(bench: Bench) -> None:
    quota_of(TRAITS).pause(1)
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


def test_a_key_that_was_changed_is_tried_without_a_person(bench: Bench, settings: Any) -> None:
    bench.simulator.fault("unauthorized", seconds=3600)
    request, other = bench.ask(10), bench.ask(20)
    fetched(request)
    bench.simulator.fault("reset")
    assert fetched(other).state == State.QUEUED, "the same key is not tried again"
    waiting = Producer.objects.get(state=Actor.ERROR)
    assert f"manage.py reset_actor {waiting.name}" in (other.error or "")
    settings.CRYPTOCOMPARE_API_KEY = "another"
    assert fetched(other).state == State.PUBLISHED
    assert states() == {Actor.IDLE}
    assert TransitionLog.objects.get(event="RESET").by == "the provider's key or address has changed"


def test_an_error_that_is_no_refused_key_waits_for_a_person_whatever_the_key(bench: Bench, settings: Any) -> None:
    ensure_pool()
    with Producer.locked("producer-history-1") as producer:
        producer.fetch_data()
        producer.fetch_failure(reason="schema changed")
    settings.CRYPTOCOMPARE_API_KEY = "another"
    assert fetched(bench.ask(10)).state == State.QUEUED
    assert Producer.objects.get(name="producer-history-1").state == Actor.ERROR


def test_a_provider_that_does_not_answer_is_an_error_that_is_tried_again(bench: Bench, silent_provider: None) -> None:
    job = stepped(bench.ask(10), lambda: Producer.objects.filter(state=Actor.ERROR).exists())
    row = Producer.objects.get(state=Actor.ERROR)
    assert "no whole answer within 1 s" in (row.last_error or "")
    assert row.reset_at is not None
    job.end()


def test_history_of_another_provider_is_not_taken(bench: Bench) -> None:
    ProviderClock.objects.create(provider="cryptocompare", identity="another")
    request = fetched(bench.ask(10))
    assert (request.state, request.error) == (State.QUEUED, "another provider answers")
    assert (states() & {Actor.ERROR}, bench.broker.admin().topics()) == ({Actor.ERROR}, {"candle-data"})
    assert bench.records() == []
