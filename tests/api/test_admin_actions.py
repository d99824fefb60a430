"""What people do in the admin: who may, what is asked first, and that it does what the API does."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from actor_runtime.models import TransitionLog
from datastore.models import DatastoreRequest, FetchRequest, GapRepair, Market, Stream
from datastore.reference.markets import unfollow
from datastore.streams import lifecycle
from ingestion.models import Producer
from tests.support.api.admin_rows import MAKERS
from tests.support.api.rows import BEGAN, MINUTE


def user(*permissions: str) -> Client:
    User.objects.create_user("bob", is_staff=True).user_permissions.set(
        Permission.objects.filter(codename__in=permissions)
    )
    client = Client()
    client.force_login(User.objects.get(username="bob"))
    return client


def act(client: Client, model: type, action: str, *pks: int, **more: str) -> str:
    url = reverse(f"admin:datastore_{model._meta.model_name}_changelist")  # type: ignore[attr-defined]
    response = client.post(url, {"action": action, "_selected_action": list(pks), **more}, follow=True)
    return str(response.content.decode())


@pytest.fixture
def errored(db: None) -> Producer:
    made: Producer = MAKERS[Producer](1)
    return made


def reset(client: Client, producer: Producer, **extra: Any) -> Any:
    return client.post(reverse("admin:ingestion_producer_reset", args=[producer.pk]), follow=True, **extra)


def test_an_actor_s_own_page_resets_it(errored: Producer) -> None:
    client = user("view_producer", "reset_producer")
    page = client.get(reverse("admin:ingestion_producer_change", args=[errored.pk])).content.decode()
    assert "Reset one-1" in page and "csrfmiddlewaretoken" in page
    answer = reset(client, errored)
    assert "one-1 is reset." in answer.content.decode()
    assert Producer.objects.get().state == "idle"
    assert TransitionLog.objects.get(event="RESET").by == "bob (admin)"
    assert "Reset one-1" not in answer.content.decode()
    assert "not in Error" in reset(client, errored).content.decode()


def test_who_may_only_look_has_no_button_and_is_refused(errored: Producer) -> None:
    client = user("view_producer", "change_producer")
    page = client.get(reverse("admin:ingestion_producer_change", args=[errored.pk])).content.decode()
    assert "Reset one-1" not in page
    assert reset(client, errored).status_code == 403
    assert Producer.objects.get().state == "error"


def test_a_reset_needs_its_token_and_a_post(errored: Producer, root: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="root"))
    assert reset(strict, errored).status_code == 403
    url = reverse("admin:ingestion_producer_reset", args=[errored.pk])
    assert root.get(url).status_code == 405
    assert Client().post(url).status_code == 302
    assert Producer.objects.get().state == "error"
    gone = root.post(reverse("admin:ingestion_producer_reset", args=[999]), follow=True)
    assert gone.status_code == 200 and "exist" in gone.content.decode()


def test_an_open_gap_is_repaired_now_by_those_who_may(market: Market, root: Client) -> None:
    span = {"market": market, "resolution": 60, "reason": "no"}
    gap = GapRepair.objects.create(**span, start=BEGAN, stop=BEGAN + MINUTE)
    final = GapRepair.objects.create(**span, start=BEGAN + MINUTE, stop=BEGAN + 2 * MINUTE, final=True)
    act(user("view_gaprepair"), GapRepair, "repair_now", gap.pk)
    assert not FetchRequest.objects.exists()
    html = act(root, GapRepair, "repair_now", gap.pk, final.pk)
    assert "Asked for now: 1 gap." in html and "Nothing to ask for in 1 gap" in html
    (fetch,) = FetchRequest.objects.all()
    assert (fetch.start, fetch.stop, fetch.purpose) == (BEGAN, BEGAN + MINUTE, FetchRequest.Purpose.GAP)
    assert DatastoreRequest.objects.get().fetches == [fetch.pk]
    FetchRequest.objects.update(next_try=BEGAN + 999 * MINUTE)
    act(root, GapRepair, "repair_now", gap.pk)
    assert FetchRequest.objects.get().next_try is None, "a person does not wait for the next try"


def test_a_failed_request_is_asked_for_again_by_those_who_may(market: Market, root: Client) -> None:
    span = {"market": market, "resolution": 60, "purpose": 1}
    failed = FetchRequest.objects.create(**span, start=BEGAN, stop=BEGAN + MINUTE, state="failed", error="refused")
    done = FetchRequest.objects.create(**span, start=BEGAN, stop=BEGAN + MINUTE, state="done")
    act(user("view_fetchrequest"), FetchRequest, "fetch_again", failed.pk)
    assert FetchRequest.objects.count() == 2
    html = act(root, FetchRequest, "fetch_again", failed.pk, done.pk)
    assert "Asked for again: 1 span." in html and "1 request had not failed." in html
    newest = FetchRequest.objects.first()
    assert newest is not None
    assert (newest.start, newest.stop, newest.state) == (BEGAN, BEGAN + MINUTE, "queued")


def test_ending_streams_asks_first(market: Market, root: Client) -> None:
    stream, _ = lifecycle.create(market, "5m", by="key a")
    html = act(root, Stream, "end_streams", stream.pk)
    assert f"Stream {stream.pk}: {market} 5m, requested" in html and "End them" in html
    assert Stream.objects.get().state == "requested"
    assert "1 ended" in act(root, Stream, "end_streams", stream.pk, confirmed="yes")
    assert Stream.objects.get().state == "ended"


def test_markets_are_followed_and_no_longer_followed(market: Market, root: Client) -> None:
    assert "Are you sure" in act(root, Market, "unfollow_markets", market.pk)
    market.refresh_from_db()
    assert market.followed
    assert "No longer followed: 1 market." in act(root, Market, "unfollow_markets", market.pk, confirmed="yes")
    market.refresh_from_db()
    assert not market.followed
    assert "Followed from now on: 1 market." in act(root, Market, "follow_markets", market.pk)
    market.refresh_from_db()
    assert market.followed and FetchRequest.objects.filter(market=market).exists()


def test_who_may_only_look_follows_nothing(market: Market) -> None:
    unfollow(market)
    act(user("view_market"), Market, "follow_markets", market.pk)
    market.refresh_from_db()
    assert not market.followed
