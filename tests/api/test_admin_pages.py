"""Every list and every page of the admin: safe, exact, and of a fixed cost."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from actor_runtime.models import Actor, TransitionLog, actor_models
from actor_runtime.read_only_admin import exact_time
from datastore.models import (
    ApiKey,
    CandleDifference,
    CoverageChange,
    DatabaseClock,
    DeadLetter,
    FetchRequest,
    GapRepair,
    Market,
)
from tests.support.api.admin_pages import page
from tests.support.api.admin_rows import AT, MAKERS, SCRIPT, market

OURS = ("actors", "datastore", "coordination", "ingestion", "consumers")
# A <script> without src, an attribute with style or with code; what Django's own chart of an actor has is not ours.
INLINE = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>|<style|<(?!svg)[a-z][^>]*\s(?:style|on[a-z]+)\s*=", re.IGNORECASE)
TIME = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?(?!\d)(\.\d+)?")
WITHOUT_TEXT = (ApiKey, CoverageChange, DatabaseClock)  # of others
models = pytest.mark.parametrize("model", list(MAKERS), ids=lambda model: model.__name__)


def shown(client: Client, model: type, pk: object = None) -> str:
    return page(client, model) if pk is None else page(client, model, "change", pk)


def test_every_list_of_ours_is_looked_at_here() -> None:
    assert {model for model in admin.site._registry if model._meta.app_label in OURS} == set(MAKERS)


@models
def test_a_list_and_a_row_run_no_script_of_others_and_hold_none_of_ours(root: Client, model: type) -> None:
    made = MAKERS[model](1)
    for html in (shown(root, model), shown(root, model, made.pk)):
        assert SCRIPT not in html and INLINE.findall(html) == []
        assert "&lt;script&gt;alert(" in html or model in WITHOUT_TEXT


@models
def test_times_have_one_form_to_the_millisecond(root: Client, model: type) -> None:
    made = MAKERS[model](1)
    for html in (shown(root, model), shown(root, model, made.pk)):
        assert {len(part) for part in TIME.findall(html)} <= {4}
        assert not re.search(r"\b(a\.m\.|p\.m\.|noon|midnight)", re.sub(r'class="help".*?</div>', "", html, flags=re.S))
    if model not in (ApiKey, DeadLetter):  # whose times are those of the test
        assert exact_time(AT) in html


@models
def test_a_list_costs_as_many_statements_for_many_rows_as_for_one(root: Client, model: type) -> None:
    MAKERS[model](1)
    shown(root, model)  # fills what is cached
    with CaptureQueriesContext(
        connection,
    ) as one:
        shown(root, model)
    for number in range(2, 12):
        MAKERS[model](number)
    with CaptureQueriesContext(connection) as many:
        shown(root, model)
    assert len(many) == len(one) <= 16


@models
def test_nobody_edits_a_row_that_the_platform_writes(root: Client, model: type) -> None:
    made = MAKERS[model](1)
    if model is ApiKey:
        return  # made and limited by people: test_keys.py
    html = shown(root, model, made.pk)
    assert 'name="_save"' not in html and not re.search(r'<(input|select|textarea)[^>]*\bid="id_', html)


def test_the_admin_s_other_pages_hold_no_script_of_ours(root: Client) -> None:
    for model in admin.site._registry:
        if model._meta.app_label not in OURS:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            for url in (reverse(f"{name}_changelist"), reverse(f"{name}_add")):
                response = root.get(url)
                if response.status_code != 403:
                    assert INLINE.findall(response.content.decode()) == [], url
                    assert not re.search(r"\d (a\.m\.|p\.m\.)", response.content.decode()), url
                    assert "script-src 'self'" in response["Content-Security-Policy"]


def test_a_row_is_called_by_words(root: Client) -> None:
    gap = MAKERS[GapRepair](1)
    title = f"kraken:A1-EUR 1m, {exact_time(gap.start)} to {exact_time(gap.stop)}"
    assert f"<h1>{title}</h1>" in shown(root, GapRepair, gap.pk)
    fetch = FetchRequest.objects.create(market=market(1), purpose=1, resolution=0, start=AT, stop=AT + timedelta(1))
    assert "<h1>kraken:A1-EUR trades, " in shown(root, FetchRequest, fetch.pk)


def test_a_row_leads_to_the_page_about_it(root: Client) -> None:
    assert 'href="/markets/kraken:A1-EUR"' in shown(root, Market, market(1).pk)
    gap = MAKERS[GapRepair](2)
    assert 'href="/markets/kraken:A2-EUR"' in shown(root, GapRepair, gap.pk)
    assert 'href="/gaps"' in shown(root, GapRepair)
    for model in actor_models():
        made = MAKERS[model](1)
        if model.__name__ != "DatastoreRequest":
            assert f'href="/actors/{model._meta.model_name}/one-1"' in shown(root, model, made.pk)
    log = MAKERS[TransitionLog](1)
    assert f"/actors/producer/{quote(SCRIPT, safe='')}" in shown(root, TransitionLog, log.pk)


def test_every_page_leads_back_to_the_pages(root: Client) -> None:
    html = root.get("/admin/").content.decode()
    for url in ('href="/"', 'href="/actors"', 'href="/gaps"', 'href="/alerts"'):
        assert url in html
    assert "dashboard/colours.css" in html and "admin/js/theme.js" in html


def test_a_market_shows_figures_and_leads_to_its_rows(root: Client) -> None:
    gap = MAKERS[GapRepair](1)
    MAKERS[CandleDifference](1)
    html = shown(root, Market, gap.market_id)
    assert re.search(r'<dt>Open gaps</dt><dd class="warning">1</dd>', html)
    assert re.search(r'<dt>Differences</dt><dd class="error">1</dd>', html)
    assert re.search(r"<dt>Feed</dt><dd[^>]*>refused</dd>", html)
    (link,) = re.findall(r'href="(/admin/datastore/gaprepair/\?[^"]+)"', html)
    MAKERS[GapRepair](2)
    listed = root.get(link).content.decode()
    assert "1 gap repair" in listed and 'field-market nowrap">kraken:A2-EUR' not in listed
    (link,) = re.findall(r'href="(/admin/datastore/candledifference/\?[^"]+)"', html)
    assert "1 candle difference" in root.get(link).content.decode()


def test_a_difference_names_the_values_that_differ(root: Client) -> None:
    made = MAKERS[CandleDifference](1)
    assert "high 2 ≠ 1" in shown(root, CandleDifference)
    html = shown(root, CandleDifference, made.pk)
    assert html.count("<td>1</td>") >= 8 and "quote volume" in html


def test_a_dead_letter_is_shown_as_it_came_and_as_json(root: Client) -> None:
    made = DeadLetter.objects.create(topic="tick-data", reason="no", raw=b'{"price":[1,{"a":"\xc3\xa9"}]}')
    html = shown(root, DeadLetter, made.pk)
    assert "{&quot;price&quot;:[1,{&quot;a&quot;:&quot;é&quot;}]}" in html
    assert "&quot;a&quot;: &quot;é&quot;" in html
    other = DeadLetter.objects.create(topic="tick-data", reason="no", raw=b"\xff<b>")
    html = shown(root, DeadLetter, other.pk)
    assert "\\xff&lt;b&gt;" in html and "It is no JSON." in html


def test_the_log_is_chosen_by_kind_and_event(root: Client) -> None:
    MAKERS[TransitionLog](1)
    url = reverse("admin:actors_transitionlog_changelist")
    assert "Error → Idle" in root.get(url, {"kind": "producer", "event": "RESET"}).content.decode()
    assert "Error → Idle" not in root.get(url, {"kind": "coordinator"}).content.decode()
    assert "Error → Idle" not in root.get(url, {"event": "FETCH_DATA"}).content.decode()


@pytest.mark.parametrize("model", actor_models(), ids=lambda model: model.__name__)
def test_who_may_not_look_sees_nothing(staff: Client, model: type[Actor]) -> None:
    made = MAKERS[model](1)
    assert User.objects.get(username="ada").is_staff
    for name, *args in (("changelist",), ("change", made.pk)):
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)
        assert staff.get(url).status_code == 403
