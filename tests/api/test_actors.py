from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now
from django.test import Client

from actor_runtime.models import TransitionLog
from datastore.api.views.actors import kinds
from datastore.models import DatastoreRequest
from tests.support.api.rows import body_of

pytestmark = pytest.mark.django_db
KIND = "datastorerequest"
FIXED = dict.fromkeys(("first_at", "last_at"), datetime(2025, 11, 3, 10, tzinfo=UTC))
ADDRESS = f"/api/v1/actors/{KIND}/request-1"


@pytest.fixture
def errored() -> DatastoreRequest:
    """A request that failed while querying."""
    DatastoreRequest.objects.create(name="request-1")
    with DatastoreRequest.locked("request-1") as actor:
        actor.request_data()
        actor.start_db_query()
        actor.db_query_failure(reason="the disk is full")
    return DatastoreRequest.objects.get(name="request-1")


@pytest.fixture
def permitted(staff: Client) -> Client:
    """Staff who may reset requests."""
    ada = User.objects.get(username="ada")
    ada.user_permissions.add(Permission.objects.get(codename="reset_datastorerequest"))
    return staff


def reset(client: Client, token: bool = True, address: str = ADDRESS) -> tuple[int, dict[str, object]]:
    cookie = client.cookies.get("csrftoken")
    headers = {"X-CSRFToken": cookie.value} if token and cookie else {}
    response = client.post(f"{address}/reset", headers=headers)
    problem = response.status_code >= 400
    assert response["Content-Type"] == ("application/problem+json" if problem else "application/json")
    return response.status_code, json.loads(response.content)


def test_all_five_kinds_of_actors_are_found() -> None:
    assert set(kinds()) == {"producer", "coordinator", "fixedtopicconsumer", "dynamictopicconsumer", KIND}


def test_actors_are_listed_with_their_states(client: Client, errored: DatastoreRequest) -> None:
    (shown,) = body_of(client, "/api/v1/actors")["actors"]
    assert (shown["kind"], shown["name"], shown["state"], shown["label"]) == (KIND, "request-1", "error", "Error")
    assert shown["last_error"] == "the disk is full"
    assert shown["error_count"] == 1


def test_a_retired_actor_is_shown_but_not_listed(client: Client, errored: DatastoreRequest) -> None:
    DatastoreRequest.objects.update(retired_at=Now())
    assert body_of(client, "/api/v1/actors")["actors"] == []
    assert body_of(client, ADDRESS)["retired_at"] is not None


def test_an_actor_is_shown_with_its_log_newest_first(client: Client, errored: DatastoreRequest) -> None:
    log = body_of(client, ADDRESS)["log"]
    assert {(row["event"], row["from"], row["to"]) for row in log} == {
        ("REQUEST_DATA", "idle", "processing_request"),
        ("START_DB_QUERY", "processing_request", "querying_db"),
        ("DB_QUERY_FAILURE", "querying_db", "error"),
    }
    failure = next(row for row in log if row["event"] == "DB_QUERY_FAILURE")
    assert (failure["count"], failure["reason"]) == (1, "the disk is full")
    assert [row["first"] for row in log] == sorted((row["first"] for row in log), reverse=True)


LOG = "/api/v1/actors/log"


def test_the_log_of_all_actors_is_read_page_by_page(client: Client, errored: DatastoreRequest) -> None:
    TransitionLog.objects.create(kind="producer", name="live-1", event="RESET", source="error", target="idle", **FIXED)
    whole = body_of(client, LOG)
    assert (len(whole["log"]), whole["next"]) == (4, None)
    address, seen = f"{LOG}?limit=3", []
    while address:
        page = body_of(client, address)
        seen += page["log"]
        address = page["next"]
    assert seen == whole["log"]
    assert seen[-1]["name"] == "live-1"


@pytest.mark.parametrize(
    ("question", "count"),
    [
        (f"kind={KIND}", 3),
        ("kind=producer", 0),
        ("name=request-1", 3),
        ("name=nobody", 0),
        ("event=DB_QUERY_FAILURE", 1),
        ("event=db_query_failure&kind=" + KIND, 1),
        ("event=TAKEOVER", 0),
        ("from=2026-01-01", 3),
        ("to=2026-01-01", 0),
        ("from=2026-01-01&event=START_DB_QUERY&name=request-1", 1),
    ],
)
def test_the_log_is_filtered(client: Client, errored: DatastoreRequest, question: str, count: int) -> None:
    assert len(body_of(client, f"{LOG}?{question}")["log"]) == count


def test_a_page_of_the_log_keeps_its_filter(client: Client, errored: DatastoreRequest) -> None:
    following = body_of(client, f"{LOG}?limit=1&kind={KIND}&name=request-1&from=2026-01-01")["next"]
    assert len(body_of(client, following)["log"]) == 1
    assert f"kind={KIND}&name=request-1&from=1767225600000&limit=1&cursor=" in following


def test_a_line_of_many_transitions_counts_with_the_whole_of_its_minute(client: Client) -> None:
    last = FIXED["first_at"] + timedelta(seconds=40)
    TransitionLog.objects.create(
        kind="producer",
        name="live-1",
        event="FETCH_DATA",
        source="idle",
        target="fetching_data",
        count=9,
        minute=FIXED["first_at"],
        first_at=FIXED["first_at"],
        last_at=last,
    )
    assert len(body_of(client, f"{LOG}?from=2025-11-03T10:00:40Z")["log"]) == 1
    assert len(body_of(client, f"{LOG}?from=2025-11-03T10:00:41Z")["log"]) == 0
    assert len(body_of(client, f"{LOG}?to=2025-11-03T10:00:00Z")["log"]) == 0


@pytest.mark.parametrize(
    "question", ["kind=nothing", "event=NOTHING", "name=%00", "from=2026-02-01&to=2026-01-01", "cursor=x", "limit=1001"]
)
def test_a_bad_question_of_the_log_is_400(client: Client, question: str) -> None:
    body_of(client, f"{LOG}?{question}", 400)


@pytest.mark.parametrize("path", ["nothing/request-1", f"{KIND}/nobody", f"{KIND}/%00"])
def test_an_unknown_actor_is_404(client: Client, errored: DatastoreRequest, path: str) -> None:
    body_of(client, f"/api/v1/actors/{path}", 404)


def test_staff_reset_an_errored_actor_and_the_log_says_who(permitted: Client, errored: DatastoreRequest) -> None:
    status, body = reset(permitted)
    assert (status, body["state"]) == (200, "idle")
    (row,) = [row for row in body_of(permitted, ADDRESS)["log"] if row["event"] == "RESET"]
    assert "ada" in row["by"]


def test_a_key_resets_too_and_the_log_names_it(client: Client, errored: DatastoreRequest, write_key: str) -> None:
    response = client.post(f"{ADDRESS}/reset", headers={"X-API-Key": write_key})
    assert (response.status_code, response.json()["state"]) == (200, "idle")
    (row,) = [row for row in body_of(client, ADDRESS)["log"] if row["event"] == "RESET"]
    assert row["by"] == "key writer (API)"


def test_an_actor_that_is_not_in_error_is_409(permitted: Client) -> None:
    DatastoreRequest.objects.create(name="request-1")
    status, body = reset(permitted)
    assert status == 409
    assert "not in Error" in str(body["detail"])


def test_a_reset_needs_a_session_its_token_staff_and_the_permission(
    permitted: Client, errored: DatastoreRequest
) -> None:
    assert reset(Client(enforce_csrf_checks=True))[0] == 401
    assert reset(permitted, token=False)[0] == 403
    ada = User.objects.get(username="ada")
    ada.user_permissions.clear()
    assert reset(permitted)[0] == 403
    User.objects.filter(username="ada").update(is_staff=False, is_superuser=True)
    assert reset(permitted)[0] == 403
    assert DatastoreRequest.objects.get(name="request-1").state == "error"


def test_a_reset_of_an_unknown_actor_is_404(permitted: Client) -> None:
    assert reset(permitted)[0] == 404
    assert reset(permitted, address="/api/v1/actors/nothing/request-1")[0] == 404


def test_a_reset_is_posted_never_fetched(permitted: Client, errored: DatastoreRequest) -> None:
    body_of(permitted, f"{ADDRESS}/reset", 405)
