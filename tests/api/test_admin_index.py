"""The admin's first page: what is wrong, which actors are in which state, and how much there is."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboard import admin_index
from datastore.models import DatastoreRequest, GapRepair, Pair
from ingestion.models import Producer
from tests.support.api.admin_rows import AT, MAKERS, SCRIPT


def index(client: Client) -> str:
    response = client.get("/admin/")
    assert response.status_code == 200
    return str(response.content.decode())


def test_it_says_what_is_wrong_and_escapes_it(root: Client) -> None:
    MAKERS[Producer](1)
    MAKERS[GapRepair](1)
    html = index(root)
    assert "one-1 is in Error" in html and 'href="/actors/producer/one-1"' in html
    assert "1 gap not filled yet" in html
    assert SCRIPT not in html and not re.search(r"<script(?![^>]*src=)", html) and " style=" not in html
    assert html.index("is in Error") < html.index("not filled yet")


def test_actors_are_counted_by_state_with_error_first(root: Client) -> None:
    for number in (1, 2):
        Producer.objects.create(name=f"producer-{number}")
    MAKERS[Producer](3)
    Producer.objects.create(name="gone", retired_at=AT)
    found = re.findall(
        r'href="/admin/ingestion/producer/\?state__exact=(\w+)[^"]*"[^>]*>(\w+) <b>(\d+)</b>', index(root)
    )
    assert found == [("error", "Error", "1"), ("idle", "Idle", "2")]
    listed = root.get("/admin/ingestion/producer/?state__exact=idle&retired_at__isempty=1").content.decode()
    assert "2 producers" in listed


def test_rows_are_counted_and_many_are_estimated(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        MAKERS[Pair](number)
    assert admin_index.rows_of(Pair) == "4"
    row = r'<tr class="model-pair">.*?<td class="number">(.*?)</td>'
    assert re.findall(row, index(root), re.DOTALL) == ["4"]
    monkeypatch.setattr(admin_index, "MAX_COUNTED_ROWS", 2)
    assert admin_index.rows_of(Pair) == "more than 2"
    with connection.cursor() as cursor:
        cursor.execute("analyze pair")
    assert admin_index.rows_of(Pair) == "about 4"


def test_rows_of_several_keys_are_counted_too(root: Client) -> None:
    html = index(root)
    for name in ("Candles", "Ticks", "Coverages", "Feed positions"):
        assert f">{name}</th>" in html


def test_its_cost_does_not_grow_with_the_actors(root: Client) -> None:
    index(root)
    with CaptureQueriesContext(connection) as one:
        admin_index.actor_states(_asker(root))
    for number in range(10):
        MAKERS[DatastoreRequest](number)
    with CaptureQueriesContext(connection) as many:
        admin_index.actor_states(_asker(root))
    assert len(one) == len(many)


def _asker(client: Client) -> HttpRequest:
    return client.get("/admin/").wsgi_request


def test_who_may_see_one_kind_sees_one_kind(staff: Client) -> None:
    Producer.objects.create(name="producer-1")
    assert "Idle <b>1</b>" not in index(staff) and "You do not have permission" in index(staff)
    User.objects.get(username="ada").user_permissions.add(Permission.objects.get(codename="view_producer"))
    html = index(staff)
    assert "Idle <b>1</b>" in html and ">Coordinators<" not in html


def test_the_page_of_one_app_claims_nothing_about_what_is_wrong(root: Client) -> None:
    html = root.get("/admin/datastore/").content.decode()
    assert "Gap repairs" in html and "What is wrong" not in html and "all servers answer" not in html
