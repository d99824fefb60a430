"""Questions that something must be fetched for, with a Coordinator and its workers played by the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from django_redis import get_redis_connection

from coordination.models import Coordinator
from datastore import datastore_actor
from datastore.api.params.times import to_ms
from datastore.models import Coverage, DatastoreRequest, FetchRequest, GapRepair, Market, ProviderCandle
from datastore.requests import wake
from tests.support.api.fetching import ADDRESS, AT_ONCE, START, STATES, STOP, bring, events_of, finish, request_of
from tests.support.api.rows import BEGAN, MINUTE, SYMBOL, at, body_of


def test_where_nothing_can_be_fetched_the_answer_comes_at_once_and_says_why(client: Client, market: Market) -> None:
    body = body_of(client, ADDRESS)
    assert body["complete"] is False
    assert body["request"]["error"] == "no Coordinator is running, so nothing can be fetched now"
    assert not DatastoreRequest.objects.exists()
    assert not FetchRequest.objects.exists()


def test_a_silent_coordinator_counts_as_none(client: Client, market: Market, coordinator: Coordinator) -> None:
    Coordinator.objects.update(heartbeat_at=Now() - timedelta(seconds=11))
    assert body_of(client, ADDRESS)["request"]["id"] is None


def test_a_covered_range_makes_no_row_and_reads_as_often_as_without_a_coordinator(
    client: Client, market: Market, coordinator: Coordinator
) -> None:
    bring(market)
    with CountedQueries() as counted:
        assert body_of(client, ADDRESS)["complete"] is True
    assert not DatastoreRequest.objects.exists()
    assert not any("coordination" in text or "fetch_request" in text for text in counted.texts)


class CountedQueries:
    def __enter__(self) -> CountedQueries:
        self.texts: list[str] = []
        self._wrapper = connection.execute_wrapper(self._note)
        self._wrapper.__enter__()
        return self

    def __exit__(self, *what: Any) -> None:
        self._wrapper.__exit__(*what)

    def _note(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        self.texts.append(sql)
        return execute(sql, *rest)


def test_what_is_not_there_yet_is_202_with_the_place_to_look(
    client: Client, market: Market, coordinator: Coordinator
) -> None:
    body = body_of(client, AT_ONCE, 202)
    request = request_of(body)
    assert client.get(AT_ONCE)["Location"] == f"/api/v1/requests/{request.pk}" == body["request"]["url"]
    assert (request.state, request.market, request.timeframe) == (STATES.WAITING_FOR_DATA, SYMBOL, "1m")
    assert (request.start, request.stop) == (START, STOP)
    (fetch,) = FetchRequest.objects.all()
    assert (fetch.start, fetch.stop, fetch.resolution, fetch.purpose) == (START, STOP, 60, FetchRequest.Purpose.READER)
    assert request.fetches == [fetch.pk]


def test_the_same_question_fetches_nothing_twice(client: Client, market: Market, coordinator: Coordinator) -> None:
    first = body_of(client, AT_ONCE, 202)
    assert body_of(client, AT_ONCE, 202)["request"]["id"] == first["request"]["id"]
    assert FetchRequest.objects.count() == 1
    assert DatastoreRequest.objects.count() == 1


def test_what_there_is_is_200_and_names_what_is_running(
    client: Client, market: Market, coordinator: Coordinator
) -> None:
    price = dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), "7")
    Coverage.objects.create(market=market, source="provider", resolution=60, start=START, stop=START + MINUTE)
    ProviderCandle.objects.create(market=market, resolution=60, open_time=START, version=1, **price)
    body = body_of(client, AT_ONCE)
    assert (len(body["candles"]), body["complete"]) == (1, False)
    FetchRequest.objects.update(pages_done=3, pages_total=4, created_at=timezone.now() - timedelta(seconds=30))
    shown = body_of(client, AT_ONCE)["request"]
    assert (shown["pages_done"], shown["pages_total"], shown["state"]) == (3, 4, "waiting_for_data")
    assert 5_000 < shown["eta"] - timezone.now().timestamp() * 1000 < 11_000


def test_a_long_question_is_fetched_whole_with_its_first_page(
    client: Client, market: Market, coordinator: Coordinator
) -> None:
    body_of(client, AT_ONCE + "&limit=10", 202)
    assert (FetchRequest.objects.get().start, FetchRequest.objects.get().stop) == (START, STOP)


def test_what_lies_before_any_venue_is_not_asked_for(client: Client, market: Market, coordinator: Coordinator) -> None:
    request = request_of(body_of(client, f"/api/v1/candles?market={SYMBOL}&timeframe=1w&limit=10000&wait=0", 202))
    assert FetchRequest.objects.order_by("start")[0].start == datetime(2000, 1, 1, tzinfo=UTC)
    finish("done")
    answer = body_of(client, f"/api/v1/requests/{request.pk}")["answer"]
    again = body_of(client, answer + "&wait=0", 202)["request"]
    assert again["from"] == to_ms(datetime(1999, 12, 27, tzinfo=UTC))  # a Monday: the week that 2000 begins in


def test_a_hole_that_is_final_or_was_tried_is_answered_at_once(
    client: Client, market: Market, coordinator: Coordinator
) -> None:
    half = START + 30 * MINUTE
    again = timezone.now()
    hole = {"market": market, "resolution": 60}
    GapRepair.objects.create(**hole, start=START, stop=half, reason="older than the provider keeps", final=True)
    GapRepair.objects.create(**hole, start=half, stop=STOP, reason="socket lost", attempts=2, next_try=again)
    body = body_of(client, ADDRESS)
    assert (body["complete"], body["request"]) == (False, None)
    assert not FetchRequest.objects.exists()
    coverage = body_of(
        client, f"/api/v1/coverage?market={SYMBOL}&timeframe=1m&from={at(-1800) // 1000}&to={at(0) // 1000}"
    )
    repair = coverage["coverage"][0]["repair"]
    assert (repair["attempts"], repair["next_try"]) == (2, int(again.timestamp() * 1000))


def test_a_fetch_that_has_ended_is_not_shown_as_running(
    client: Client, market: Market, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What it did not bring is asked for by the next question, or known to be final.
    def ended(*_: Any) -> bool:
        finish("done")
        return True

    monkeypatch.setattr(datastore_actor, "wait_until", ended)
    body = body_of(client, ADDRESS)
    assert (body["complete"], body["request"]) == (False, None)
    assert events_of(DatastoreRequest.objects.get())[-1] == "RETURN_DATA_SUCCESS"


def test_a_provider_that_is_away_is_not_waited_for(client: Client, market: Market, coordinator: Coordinator) -> None:
    body_of(client, AT_ONCE, 202)
    FetchRequest.objects.update(error="the provider answers 503", next_try=timezone.now() + timedelta(minutes=1))
    body = body_of(client, ADDRESS + "&wait=30")
    assert (body["candles"], body["complete"]) == ([], False)
    assert body["request"]["error"] == "the provider answers 503"


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do the work in a thread as soon as there is a request that waits."""
    stop = Event()

    def run() -> None:
        try:
            while not DatastoreRequest.objects.filter(state=STATES.WAITING_FOR_DATA).exists() and not stop.wait(0.02):
                pass
            work()
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join(10)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rings", [True, False])
def test_a_reader_waits_for_its_data_and_gets_all_of_it(
    client: Client, market: Market, coordinator: Coordinator, rings: bool
) -> None:
    def work() -> None:
        bring(market)
        if rings:
            get_redis_connection("default").publish(wake.CHANNEL, "1")

    begun = monotonic()
    with meanwhile(work):
        body = body_of(client, ADDRESS + "&wait=8")
    assert (len(body["candles"]), body["complete"], body["request"]) == (1, True, None)
    assert monotonic() - begun < 5
    assert DatastoreRequest.objects.get().state == STATES.IDLE


@pytest.mark.django_db(transaction=True)
def test_a_reader_waits_without_the_cache_too(
    client: Client, market: Market, coordinator: Coordinator, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "MAX_WAIT_WITHOUT_VALKEY_S", 8)
    nowhere = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": nowhere, "hot": nowhere, "counters": nowhere}
    with meanwhile(lambda: bring(market)):
        assert body_of(client, ADDRESS + "&wait=8")["complete"] is True


@pytest.mark.django_db(transaction=True)
def test_askers_at_once_share_one_fetch_and_few_of_them_wait(market: Market, coordinator: Coordinator) -> None:
    def ask(wait: int) -> tuple[int, float]:
        begun = monotonic()
        try:
            return Client().get(f"{ADDRESS}&wait={wait}").status_code, monotonic() - begun
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, [2] * 6))
    assert FetchRequest.objects.count() == 1
    assert {status for status, _ in answers} == {202}
    assert sum(spent >= 2 for _, spent in answers) == wake.SERVER_THREADS // 4


def post(client: Client, body: Any, token: bool = True, kind: str = "application/json") -> tuple[int, Any]:
    cookie = client.cookies.get("csrftoken")
    headers = {"X-CSRFToken": cookie.value} if token and cookie else {}
    raw = body if isinstance(body, str) else json.dumps(body)
    response = client.post("/api/v1/backfill", raw, content_type=kind, headers=headers)
    return response.status_code, json.loads(response.content)


HOUR = {"market": SYMBOL, "timeframe": "1m", "from": at(-3600) // 1000, "to": at(0) // 1000}
WANTED = {"market": SYMBOL, "timeframe": "1h", "from": "2026-11-01", "to": "2026-11-02"}


def test_staff_order_a_span_once(staff: Client, market: Market) -> None:
    status, body = post(staff, WANTED)
    assert (status, body["request"]["state"]) == (202, "waiting_for_data")
    assert "no Coordinator" in body["request"]["error"]
    assert post(staff, WANTED)[1]["request"]["id"] == body["request"]["id"]
    written = {**WANTED, "from": 1793491200.0}  # the same whole number to JSON
    assert post(staff, written)[1]["request"]["id"] == body["request"]["id"]
    (fetch,) = FetchRequest.objects.all()
    assert (fetch.resolution, fetch.purpose) == (3600, FetchRequest.Purpose.BACKFILL)
    assert fetch.stop - fetch.start == timedelta(days=1)


def test_nothing_is_ordered_where_nothing_is_missing(staff: Client, market: Market) -> None:
    bring(market)
    status, body = post(staff, HOUR)
    assert (status, body["request"]) == (200, None)
    assert body["completeness"] == {
        "asked": {"buckets": 60, "days": 0.04, "percent": 100.0},
        "proven": {"buckets": 60, "days": 0.04, "percent": 100.0},
        "pending": {"buckets": 0, "days": 0.0, "percent": 0.0},
        "missing": [],
    }
    status, body = post(staff, {"market": SYMBOL, "timeframe": "1d", "from": "2099-01-01"})
    assert (status, body["request"], body["completeness"]["asked"]["buckets"]) == (200, None, 0)
    assert not FetchRequest.objects.exists()


def test_what_is_final_is_named_and_ordered_again_only_on_request(staff: Client, market: Market) -> None:
    border = BEGAN - 15 * MINUTE
    final = {"market": market, "resolution": 60, "reason": "older than kept", "final": True}
    GapRepair.objects.create(**final, start=BEGAN - 60 * MINUTE, stop=border)
    Coverage.objects.create(market=market, source="provider", resolution=60, start=border, stop=BEGAN)
    status, body = post(staff, HOUR)
    assert (status, body["request"], body["completeness"]["proven"]["percent"]) == (200, None, 25.0)
    (missing,) = body["completeness"]["missing"]
    assert (missing["final"], missing["reason"], missing["buckets"], missing["to"]) == (
        True,
        "older than kept",
        45,
        at(-900) // 1000,
    )
    assert post(staff, {**HOUR, "again": False})[0] == 200
    status, body = post(staff, {**HOUR, "again": True})
    assert (status, [part["final"] for part in body["completeness"]["missing"]]) == (202, [False])
    shown = body_of(staff, body["request"]["url"])
    assert shown["completeness"] == body["completeness"]
    assert post(staff, {**HOUR, "again": "maybe"})[1]["errors"].keys() == {"again"}


def test_a_backfill_needs_a_session_its_token_and_staff(staff: Client, market: Market) -> None:
    assert post(Client(enforce_csrf_checks=True), WANTED)[0] == 401
    assert post(staff, WANTED, token=False)[0] == 403
    User.objects.update(is_staff=False, is_superuser=True)
    assert post(staff, WANTED)[0] == 403
    assert not FetchRequest.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("[]", "body"),
        ({**WANTED, "market": {}}, "market"),
        ({**WANTED, "timeframe": "9m"}, "timeframe"),
        ({**WANTED, "to": "2026-10-01"}, "from"),
        ({**WANTED, "limit": 3}, "limit"),
    ],
)
def test_a_bad_backfill_names_what_is_bad(staff: Client, market: Market, body: Any, field: str) -> None:
    status, problem = post(staff, body)
    assert (status, list(problem["errors"])) == (400, [field])


def test_a_backfill_that_is_no_json_is_400(staff: Client, market: Market) -> None:
    status, problem = post(staff, "{")
    assert (status, problem["detail"][:16]) == (400, "JSON parse error")


def test_a_backfill_in_another_form_than_json_is_415(staff: Client, market: Market) -> None:
    assert post(staff, "market=a", kind="application/x-www-form-urlencoded")[0] == 415
    assert post(staff, "--x--", kind="multipart/form-data; boundary=x")[0] == 415


@pytest.mark.parametrize("after", ["plan", "provider_unavailable"])
def test_what_comes_between_reading_and_asking_is_in_the_answer(
    client: Client, market: Market, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    body_of(client, AT_ONCE, 202)
    real = getattr(datastore_actor, after)

    def brought(*arguments: Any) -> Any:
        if not Coverage.objects.filter(source="provider").exists():
            bring(market)
        return real(*arguments)

    monkeypatch.setattr(datastore_actor, after, brought)
    body = body_of(client, AT_ONCE)
    assert (body["complete"], body["request"], len(body["candles"])) == (True, None, 1)
