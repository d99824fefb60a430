from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_redis import get_redis_connection

from actor_runtime.models import TransitionLog, actor_models, with_silence
from actor_runtime.steady_time import SteadyNow
from consumers.models import DynamicTopicConsumer, FixedTopicConsumer
from dashboard.actors import rates_by_kind, shown
from datastore.models import DatastoreRequest
from ingestion.models import Producer

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    yield
    get_redis_connection("default").flushdb()


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_user("ada", is_staff=True))
    return client


@pytest.fixture
def errored() -> str:
    """A consumer that waits in Error for a person, with a name and a reason that nobody should run."""
    owned("fixed-tick-1", "fixed-tick")
    with FixedTopicConsumer.locked("fixed-tick-1") as actor:
        actor.message_received()
        actor.process_failure(reason=f"the disk {EVIL} is full")
    return "fixed-tick-1"


def owned(name: str, role: str) -> None:
    FixedTopicConsumer.objects.create(name=name, role=role, owner="here:1:1", epoch=7)
    FixedTopicConsumer.objects.update(heartbeat_at=SteadyNow())


def page_of(client: Client, address: str = "/actors", status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status
    return response.content.decode()


def test_the_page_shows_a_chart_of_every_kind_and_what_to_do_where_there_is_no_actor(client: Client) -> None:
    page = page_of(client)
    assert page.count('class="chart"') == len(actor_models()) == 5
    assert page.count("None now") == 5
    assert "make one at /streams" in page


def test_a_page_is_whole_and_so_is_the_part_that_refreshes_itself(client: Client, errored: str) -> None:
    assert "<html" in page_of(client)
    kind = "/actors/fixedtopicconsumer"
    for address in ("/actors?part=all", f"{kind}?part=rows", f"{kind}/{errored}?part=one"):
        part = page_of(client, address)
        assert "<html" not in part
        assert errored in part


@pytest.mark.parametrize(
    "address", ["/actors", "/actors/fixedtopicconsumer", "/actors/fixedtopicconsumer/fixed-tick-1", "/actors/log"]
)
def test_nothing_on_the_pages_runs_or_is_styled_in_place(client: Client, errored: str, address: str) -> None:
    page = page_of(client, address)
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)" in page
    assert re.findall(r"\sstyle=|\son\w+=|<script>|<style", page) == []


def test_an_actor_in_error_says_what_happened_and_that_it_waits_for_a_person(client: Client, errored: str) -> None:
    for address in ("/actors", f"/actors/fixedtopicconsumer/{errored}"):
        page = page_of(client, address)
        assert re.search(rf"{errored}</a> is in Error", page)
        assert "It waits for a person: mend the cause" in page


def test_one_that_resets_itself_says_when(client: Client, errored: str) -> None:
    FixedTopicConsumer.objects.update(reset_at=timezone.now() + timedelta(minutes=4))
    page = page_of(client)
    assert "It resets itself" in page
    assert "waits for a person" not in page


def test_one_whose_key_is_refused_says_that_it_waits_for_another(client: Client) -> None:
    Producer.objects.create(name="producer-live-1", role="producer-live", state="error", refused_access="x")
    assert "give it a key and address that the provider accepts" in page_of(client)


def test_a_request_in_error_needs_nobody(client: Client) -> None:
    DatastoreRequest.objects.create(name="request-1", state="error")
    page = page_of(client)
    assert "It is reset when its reader has been answered" in page
    assert "waits for a person" not in page


def test_trouble_comes_first_however_many_actors_there_are(client: Client) -> None:
    DynamicTopicConsumer.objects.bulk_create(
        DynamicTopicConsumer(name=f"dyn-{n}", role="dynamic-consumer", owner="here:1:1") for n in range(20)
    )
    DynamicTopicConsumer.objects.update(heartbeat_at=SteadyNow())
    DynamicTopicConsumer.objects.filter(name="dyn-9").update(heartbeat_at=SteadyNow() - timedelta(minutes=1))
    page = page_of(client)
    assert "dyn-9</a> gives no sign of life" in page
    assert "1 silent" in page


def test_one_whose_process_is_silent_or_gone_is_marked_in_words(client: Client) -> None:
    owned("fixed-tick-1", "fixed-tick")
    FixedTopicConsumer.objects.update(heartbeat_at=SteadyNow() - timedelta(seconds=44))
    assert "fixed-tick-1</a> gives no sign of life" in page_of(client)
    FixedTopicConsumer.objects.update(owner="")
    assert "fixed-tick-1</a> has no process" in page_of(client)


def test_an_error_of_a_silent_actor_does_not_promise_a_reset(client: Client, errored: str) -> None:
    soon = timezone.now() + timedelta(minutes=4)
    FixedTopicConsumer.objects.update(reset_at=soon, heartbeat_at=SteadyNow() - timedelta(seconds=44))
    assert "nothing happens until another takes it over" in page_of(client)


def test_free_rows_of_the_pool_are_no_trouble(client: Client) -> None:
    Producer.objects.create(name="producer-history-1", role="producer-history")
    page = page_of(client)
    assert 'class="alarm"' not in page
    assert ">Free<" in page


def test_who_may_reset_has_a_button_for_it_and_others_read_why_they_have_none(
    client: Client, staff: Client, errored: str
) -> None:
    button = 'data-post="/api/v1/actors/fixedtopicconsumer/fixed-tick-1/reset"'
    address = f"/actors/fixedtopicconsumer/{errored}"
    assert button not in page_of(Client(), address)
    assert "Staff can reset it" in page_of(Client(), address)
    assert "You lack the permission" in page_of(staff, address)
    User.objects.get().user_permissions.add(Permission.objects.get(codename="reset_fixedtopicconsumer"))
    for shown_at in (address, "/actors", "/actors/fixedtopicconsumer"):
        assert button in page_of(staff, shown_at)


def test_the_page_of_an_actor_has_its_figures_chart_and_log(client: Client, errored: str) -> None:
    page = page_of(client, f"/actors/fixedtopicconsumer/{errored}")
    for words in ("here:1:1", "Epoch", "<dd>7</dd>", "Lag", "PROCESS_FAILURE", "Errors in a row"):
        assert words in page
    assert re.findall(r'class="state lit[^"]*" data-state="(\w+)"', page) == ["error"]


def test_a_retired_actor_has_its_page_and_is_in_no_list(client: Client) -> None:
    DatastoreRequest.objects.create(name="request-1", retired_at=timezone.now(), market=EVIL)
    assert "Retired" in page_of(client, "/actors/datastorerequest/request-1")
    assert "request-1" not in page_of(client, "/actors/datastorerequest")


@pytest.mark.parametrize(
    "address", ["/actors/nothing", "/actors/nothing/x", "/actors/producer/nobody", "/actors/producer/%00"]
)
def test_what_is_not_there_is_404(client: Client, address: str) -> None:
    page_of(client, address, 404)


def test_a_kind_is_read_page_by_page_and_by_state(client: Client) -> None:
    DynamicTopicConsumer.objects.bulk_create(
        DynamicTopicConsumer(name=f"dyn-{n:03}", role="dynamic-consumer", state="consuming") for n in range(120)
    )
    address = "/actors/dynamictopicconsumer"
    assert "All 120" in page_of(client)
    first, second = page_of(client, address), page_of(client, f"{address}?page=2")
    assert (first.count('id="row-'), second.count('id="row-')) == (100, 20)
    assert 'href="?page=2"' in first
    assert "Choose another state" in page_of(client, f"{address}?state=error")
    assert page_of(client, f"{address}?state=consuming&page=2").count('id="row-') == 20
    assert page_of(client, f"{address}?state=nonsense&page=x").count('id="row-') == 100


@pytest.mark.parametrize("address", ["/actors", "/actors/dynamictopicconsumer"])
def test_many_actors_cost_as_many_statements_as_few(client: Client, address: str) -> None:
    def made(numbers: range) -> int:
        DynamicTopicConsumer.objects.bulk_create(
            DynamicTopicConsumer(name=f"dyn-{n}", role="dynamic-consumer", state="error") for n in numbers
        )
        with CaptureQueriesContext(connection) as queries:
            page_of(client, address)
        return len(queries)

    made(range(1))  # what a process reads once
    assert made(range(1, 3)) == made(range(3, 60))


def test_rates_are_transitions_per_minute_of_the_last_minutes(client: Client) -> None:
    now = timezone.now()
    minute = now.replace(second=0, microsecond=0)
    TransitionLog.objects.bulk_create(
        TransitionLog(
            kind="producer",
            name=name,
            event="FETCH_DATA",
            source="idle",
            target="fetching_data",
            count=300,
            minute=at,
            first_at=at,
            last_at=at,
        )
        for name in ("a", "b")
        for at in (minute - timedelta(minutes=1), minute - timedelta(minutes=9))
    )
    ((edge, rate),) = rates_by_kind()["producer"].items()
    assert (edge.event, edge.source, edge.target) == ("FETCH_DATA", "idle", "fetching_data")
    assert 119 < rate < 151  # 600 in four to five minutes
    assert re.search(r">1[1-5]\d/min<", page_of(client))


def test_reading_needs_a_key_or_signing_in_where_that_is_so(client: Client, errored: str) -> None:
    with override_settings(REQUIRE_API_KEY=True):
        response = client.get(f"/actors/fixedtopicconsumer/{errored}")
    assert (response.status_code, response["Location"][:9]) == (302, "/sign-in?")


def test_the_level_of_an_actor_is_also_a_word(errored: str) -> None:
    actor = with_silence(FixedTopicConsumer.objects.all()).get()
    assert (shown("fixedtopicconsumer", actor).level, shown("fixedtopicconsumer", actor).word) == ("error", "Error")


AT = datetime(2025, 11, 3, 10, tzinfo=UTC)


@pytest.fixture
def log() -> None:
    """130 resets of one actor, and one failure of another."""
    lines = [("producer", "a", "RESET", "error", "idle", n) for n in range(130)]
    lines.append(("fixedtopicconsumer", "b", "PROCESS_FAILURE", "processing_message", "error", 200))
    TransitionLog.objects.bulk_create(
        TransitionLog(
            kind=kind,
            name=name,
            event=event,
            source=source,
            target=target,
            reason=EVIL,
            first_at=AT + timedelta(seconds=n),
            last_at=AT + timedelta(seconds=n),
        )
        for kind, name, event, source, target, n in lines
    )


def lines_of(page: str) -> int:
    return page.count('id="line-')


def test_the_log_is_read_page_by_page(client: Client, log: None) -> None:
    page = page_of(client, "/actors/log")
    older = re.search(r'href="(\?[^"]*cursor=[^"]+)">Older', page)
    assert older is not None
    rest = page_of(client, f"/actors/log{older[1]}")
    assert (lines_of(page), lines_of(rest)) == (100, 31)
    assert ">Newest</a>" in rest
    assert 'hx-get="/actors/log' not in rest  # an older page stays as it is


@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("name=b", 1),
        ("kind=producer&event=RESET", 100),
        ("event=PROCESS_FAILURE", 1),
        ("from=2025-11-03T10:02:00&name=a", 10),
        ("to=2025-11-03T10:00:10", 10),
        ("kind=&name=&event=&from=&to=", 100),
    ],
)
def test_the_log_is_filtered_by_what_the_address_says(client: Client, log: None, question: str, count: int) -> None:
    assert lines_of(page_of(client, f"/actors/log?{question}")) == count


def test_the_older_page_keeps_the_filter(client: Client, log: None) -> None:
    page = page_of(client, "/actors/log?event=RESET")
    assert 'href="?event=RESET&amp;cursor=' in page
    assert "<option selected>RESET</option>" in page


def test_a_bad_filter_is_explained_and_an_empty_answer_says_what_to_do(client: Client, log: None) -> None:
    assert "is not a time" in page_of(client, "/actors/log?from=yesterday")
    assert "is unknown. Accepted" in page_of(client, "/actors/log?kind=nonsense")
    assert "None fits the filter" in page_of(client, "/actors/log?name=nobody")


def test_an_actors_page_shows_its_own_lines_alone(client: Client, errored: str, log: None) -> None:
    page = page_of(client, f"/actors/fixedtopicconsumer/{errored}")
    assert lines_of(page) == 2
    assert lines_of(page_of(client, f"/actors/fixedtopicconsumer/{errored}?event=PROCESS_FAILURE")) == 1
    assert lines_of(page_of(client, f"/actors/fixedtopicconsumer/{errored}?part=log&event=MESSAGE_RECEIVED")) == 1
