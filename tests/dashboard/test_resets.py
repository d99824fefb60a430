"""What became of a reset, as the log shows it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from actor_runtime.manual_reset import reset
from actor_runtime.models import TransitionLog
from actor_runtime.steady_time import SteadyNow
from dashboard import resets
from dashboard.resets import recent_outcomes
from ingestion.models import Producer

pytestmark = pytest.mark.django_db
REFUSED = "401: the key is refused"


@pytest.fixture
def producer() -> str:
    """A live Producer in Error whose process lives."""
    Producer.objects.create(name="producer-live-1", role="producer-live", owner="here:1:1")
    Producer.objects.update(heartbeat_at=SteadyNow())
    fails("producer-live-1")
    return "producer-live-1"


def fails(name: str, at: datetime | None = None) -> None:
    with Producer.locked(name) as actor:
        actor.fetch_data()
        actor.fetch_failure(reason=REFUSED, at=at)


def reset_by_ada(name: str) -> None:
    reset(Producer, name, by="user ada (API)")


def outcome() -> tuple[str, str]:
    (found,) = recent_outcomes()
    return found.level, found.words


def test_a_reset_is_watched_for_a_while(producer: str) -> None:
    reset_by_ada(producer)
    level, words = outcome()
    assert (level, words[:6]) == ("notice", "Reset ")
    assert "watching" in words


def test_one_that_went_back_to_error_is_said_with_time_and_reason(producer: str) -> None:
    reset_by_ada(producer)
    at = TransitionLog.objects.get(event="RESET").first_at + timedelta(seconds=0.8)
    fails(producer, at)
    assert outcome() == ("error", f"Still wrong: it was reset, but it went back to Error after 0.8 s: {REFUSED}")


def test_one_that_has_left_error_again_is_no_longer_called_wrong(producer: str) -> None:
    reset_by_ada(producer)
    fails(producer)
    with Producer.locked(producer) as actor:
        actor.reset(by="automatic after 1 s")
    level, words = outcome()
    assert level == "warning"
    assert "Since then it has left Error" in words


def test_work_that_was_finished_since_then_is_the_good_news(producer: str) -> None:
    reset_by_ada(producer)
    with Producer.locked(producer) as actor:
        actor.fetch_data()
        actor.data_ready("fixed")
        actor.publish_success()
    assert outcome() == ("good", "Reset, and it works: PUBLISH_SUCCESS since then.")


def test_one_without_a_living_process_is_still_wrong(producer: str) -> None:
    reset_by_ada(producer)
    Producer.objects.update(heartbeat_at=SteadyNow() - timedelta(minutes=1))
    assert outcome()[0] == "error"
    assert "no sign of life" in outcome()[1]
    Producer.objects.update(owner="")
    assert "no process has it" in outcome()[1]


def test_what_it_waits_for_comes_first(producer: str) -> None:
    reset_by_ada(producer)
    Producer.objects.update(waiting_for="the provider")
    assert outcome() == ("warning", "It was reset, but it waits: the provider")


def test_one_that_stays_well_is_called_well_after_a_while(producer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reset_by_ada(producer)
    monkeypatch.setattr(resets, "WATCHED_S", 0.0)
    level, words = outcome()
    assert level == "good"
    assert "no error for" in words


def test_resets_by_themselves_and_old_ones_are_no_news(producer: str) -> None:
    with Producer.locked(producer) as actor:
        actor.reset(by="automatic after 1 s")
    assert recent_outcomes() == []
    fails(producer)
    reset_by_ada(producer)
    TransitionLog.objects.update(first_at=timezone.now() - timedelta(minutes=5))
    assert recent_outcomes() == []


def test_the_newest_reset_of_an_actor_counts(producer: str) -> None:
    reset_by_ada(producer)
    fails(producer)
    reset_by_ada(producer)
    assert outcome()[0] == "notice"


def test_the_pages_say_it_before_all_else(producer: str, client: Client) -> None:
    reset_by_ada(producer)
    fails(producer)
    for address in ("/actors", "/actors/producer", f"/actors/producer/{producer}"):
        page = client.get(address).content.decode()
        assert "Still wrong: it was reset, but it went back to Error" in page
        assert page.index("Still wrong") < page.index("<svg")
