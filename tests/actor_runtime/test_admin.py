from __future__ import annotations

import re
from threading import Event

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now
from django.test import Client

from actor_runtime.charts import Edge, edges
from actor_runtime.drawing import SMALL, WITH_EVENTS, WITH_RATES, Layout, drawing, rate_text, svg
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import TransitionLog, actor_models
from consumers.models import FixedTopicConsumer
from datastore.models import DatastoreRequest
from tests.support.actor_runtime.work import one_batch, owned, to_writing

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/consumers/fixedtopicconsumer/"


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("ada", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def errored() -> FixedTopicConsumer:
    session = ActorSession(owned(), Event())
    to_writing(session)
    session.actor.write_failure(reason="disk <full>")
    session.save()
    return FixedTopicConsumer.objects.get()


def reset_all(client: Client) -> list[str]:
    chosen = [str(pk) for pk in FixedTopicConsumer.objects.values_list("pk", flat=True)]
    answer = client.post(LIST, {"action": "reset_errored", "_selected_action": chosen}, follow=True)
    return [str(message) for message in answer.context["messages"]]


def test_a_user_who_may_reset_brings_the_actor_back_and_the_log_names_him(errored: FixedTopicConsumer) -> None:
    client = staff("view_fixedtopicconsumer", "reset_fixedtopicconsumer")
    assert reset_all(client) == ["fixed-tick-1 is reset."]
    assert FixedTopicConsumer.objects.get().state == "idle"
    assert TransitionLog.objects.get(event="RESET").by == "ada (admin)"


def test_each_row_has_its_own_result_and_one_that_is_not_in_error_is_refused(errored: FixedTopicConsumer) -> None:
    FixedTopicConsumer.objects.create(name="fixed-tick-2")
    told = reset_all(staff("view_fixedtopicconsumer", "reset_fixedtopicconsumer"))
    assert sorted(told) == ["fixed-tick-1 is reset.", "fixed-tick-2 is not in Error but in Idle."]


def test_a_user_who_may_only_look_cannot_reset(errored: FixedTopicConsumer) -> None:
    client = staff("view_fixedtopicconsumer", "change_fixedtopicconsumer", "reset_producer")
    assert b"reset_errored" not in client.get(LIST).content
    reset_all(client)
    assert FixedTopicConsumer.objects.get().state == "error"


def test_a_user_without_any_right_sees_nothing(errored: FixedTopicConsumer) -> None:
    assert staff().get(LIST).status_code == 403


def test_nobody_edits_adds_or_deletes_an_actor(errored: FixedTopicConsumer, admin_client: Client) -> None:
    change = f"{LIST}{errored.pk}/change/"
    assert b'name="_save"' not in admin_client.get(change).content
    for url, data in (
        (change, {"state": "idle"}),
        (f"{LIST}add/", {}),
        (f"{LIST}{errored.pk}/delete/", {"post": "yes"}),
    ):
        assert admin_client.post(url, data).status_code == 403
    assert FixedTopicConsumer.objects.get().state == "error"


def test_the_list_shows_state_heartbeat_and_error(errored: FixedTopicConsumer, admin_client: Client) -> None:
    page = admin_client.get(LIST).content.decode()
    assert '<span class="actor-badge error">Error</span>' in page
    assert re.search(r'<span class="actor-pulse fresh">\d s</span>', page)
    assert "disk &lt;full&gt;" in page and "<full>" not in page


def test_those_that_are_retired_say_so_and_come_behind_those_at_work(
    errored: FixedTopicConsumer, admin_client: Client
) -> None:
    FixedTopicConsumer.objects.create(name="a-retired-one", heartbeat_at=Now(), retired_at=Now())
    page = admin_client.get(LIST).content.decode()
    assert re.search(r'<span class="actor-pulse free">\d s, retired</span>', page)
    assert page.index(errored.name) < page.index("a-retired-one")
    left = admin_client.get(LIST, {"retired_at__isempty": "1"}).content.decode()
    assert errored.name in left and "a-retired-one" not in left


def test_the_change_page_lights_the_current_state_and_tells_the_newest_first(
    errored: FixedTopicConsumer, admin_client: Client
) -> None:
    page = admin_client.get(f"{LIST}{errored.pk}/change/").content.decode()
    assert re.findall(r'class="state lit[^"]*" data-state="(\w+)"', page) == ["error"]
    told = re.findall(r"<b>([A-Z_]+)</b>", page)
    assert told == ["WRITE_FAILURE", "PROCESS_SUCCESS", "MESSAGE_RECEIVED"]
    assert "<full>" not in page


def test_every_chart_is_drawn_whole(admin_client: Client) -> None:
    for model in actor_models():
        words = [line for arrow in drawing(model).arrows for line in arrow.words.lines]
        assert sorted(words) == sorted(edge.event for edge in edges(model))
        assert {box.state for box in drawing(model).boxes} == set(model.State.values)
        assert 'class="state lit"' in svg(model, str(model().state))


@pytest.mark.parametrize("layout", [WITH_EVENTS, WITH_RATES, SMALL])
def test_no_words_of_a_chart_cover_a_state_or_other_words(layout: Layout) -> None:
    for model in actor_models():
        words = [arrow.words for arrow in drawing(model, layout).arrows]
        for one in words:
            others = [box for box in (*words, *drawing(model, layout).boxes) if box is not one]
            assert [box.lines for box in others if one.touches(box)] == [], one.lines


def test_a_chart_shows_how_often_its_arrows_are_taken_and_how_many_actors_are_in_a_state() -> None:
    rates = {Edge("MESSAGE_RECEIVED", "idle", "processing_message"): 1234.0}
    drawn = svg(FixedTopicConsumer, {"idle": 2, "error": 1}, rates, WITH_RATES)
    assert drawn.count("1,234/min") == drawn.count(" moving") == 1
    assert re.findall(r'class="state lit[^"]*" data-state="(\w+)"', drawn) == ["idle", "error"]
    assert ", 2 in Idle, 1 in Error" in drawn
    assert "MESSAGE_RECEIVED</text>" not in svg(FixedTopicConsumer, {"idle": 2}, rates, SMALL)


def test_arrows_that_no_event_triggers_have_the_rate_of_their_ends() -> None:
    rates = {Edge("RETURN_WHAT_WAS_FOUND", "data_found", "returning_data"): 30.0}
    assert "30/min" in svg(DatastoreRequest, {}, rates, WITH_RATES)


@pytest.mark.parametrize(("rate", "words"), [(0.0, ""), (0.04, ""), (0.2, "0.2/min"), (12.4, "12/min")])
def test_a_rate_is_written_as_precisely_as_it_matters(rate: float, words: str) -> None:
    assert rate_text(rate) == words


def test_a_chart_has_no_style_of_its_own_which_the_pages_would_not_show() -> None:
    assert "style" not in svg(FixedTopicConsumer, "idle")


def test_the_log_is_a_page_of_its_own(admin_client: Client) -> None:
    one_batch(ActorSession(owned(), Event()))
    page = admin_client.get("/admin/actors/transitionlog/").content.decode()
    assert "UPDATE_CACHE_SUCCESS" in page and "Add transition log" not in page
