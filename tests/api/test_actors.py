from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now
from django.test import Client

from datastore.api.views.actors import kinds
from datastore.models import DatastoreRequest
from tests.support.api.rows import body_of

pytestmark = pytest.mark.django_db
KIND = "datastorerequest"
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
