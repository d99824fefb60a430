from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from redis.exceptions import ConnectionError as ValkeyAway

from actor_runtime.steady_time import SteadyNow
from consumers.models import FixedTopicConsumer
from coordination.models import Coordinator
from dashboard.actors import Kind, kinds
from dashboard.flow.figures import Figures
from dashboard.flow.picture import flows, parts, short_name
from dashboard.flow.shapes import TALL, WIDE, Shape
from ingestion.models import Producer

QUIET: dict[str, Any] = {
    "rates": {"trades received": 42.4, "records tick-data": 3.25},
    "lags": {"tick-data": 1234},
    "followers": 2,
    "requests": 1,
    "fetches": 0,
    "streams": 0,
    "feeds": (3, 3),
    "failing": {},
}


def drawn(groups: dict[str, list[dict[str, Any]]] | None = None, shape: Shape = WIDE, **more: Any) -> dict[str, Any]:
    """Return the boxes by title; groups: what is known of the actors of a kind."""
    found = [Kind(name, model, (groups or {}).get(name, [])) for name, model in kinds().items()]
    return {part.title: part for part in parts(Figures(**QUIET | more), found, "simulator", shape)}


def group(**more: Any) -> dict[str, Any]:
    return {"role": "producer-live", "state": "idle", "n": 1, "silent": 0, "free": 0, "waiting": 0} | more


def words(**more: Any) -> list[str]:
    return [line for flow in flows(Figures(**QUIET | more)) for line in flow.lines]


def test_every_part_of_the_customers_diagram_is_a_box_that_leads_somewhere() -> None:
    boxes = drawn()
    assert {"simulator", "Producer, live", "tick-data", "Database", "Cache", "API", "Coordinator"} < set(boxes)
    assert all(part.url.startswith("/") for part in boxes.values())


@pytest.mark.parametrize("shape", [WIDE, TALL], ids=lambda shape: shape.name)
def test_no_box_covers_another_or_leaves_the_picture(shape: Shape) -> None:
    boxes = list(drawn(shape=shape).values())
    assert len(boxes) == len(shape.places) == 16
    for one in boxes:
        assert one.left >= 0 and one.left + one.width <= shape.width
        assert one.top >= 0 and one.top + one.height <= shape.height
        near = [box for box in boxes if abs(box.x - one.x) < one.width and abs(box.y - one.y) < one.height]
        assert near == [one]


@pytest.mark.parametrize("shape", [WIDE, TALL], ids=lambda shape: shape.name)
def test_no_words_of_an_arrow_cover_those_of_another(shape: Shape) -> None:
    plates = [row for flow in flows(Figures(**QUIET | {"streams": 2}), shape) for row in flow.rows]
    for text, y, left, _, width in plates:
        level = [other for other in plates if abs(other[1] - y) < 12]
        assert [other[0] for other in level if other[2] < left + width and left < other[2] + other[4]] == [text]


def test_arrows_say_how_much_flows_and_a_topic_how_much_waits() -> None:
    assert {"42 trades/s", "3.2 rec/s", "0 calls/s", "1 question"} <= set(words())
    assert {"lag 1,234", "lag unknown"} <= set(words())


def test_before_there_are_two_readings_no_rate_is_claimed() -> None:
    assert "- trades/s" in words(rates={})
    moving = [flow for flow in flows(Figures(**QUIET | {"rates": {}, "requests": 0})) if flow.busy and not flow.dashed]
    assert moving == []


@pytest.mark.parametrize(
    ("found", "level", "word"),
    [
        ([group()], "", ""),
        ([group(state="error")], "error", "Error"),
        ([group(state="error"), group(n=2)], "error", "1 of 3 in Error"),
        ([group(silent=1)], "error", "Silent"),
        ([group(free=1)], "error", "No process"),
        ([group(waiting=1)], "warning", "Waiting"),
        ([group(waiting=1), group(state="error")], "error", "1 of 2 in Error"),
    ],
)
def test_trouble_is_a_colour_and_a_word(found: list[dict[str, Any]], level: str, word: str) -> None:
    part = drawn({"producer": found})["Producer, live"]
    assert (part.level, part.word) == (level, word)


def test_history_producers_without_a_process_only_have_nothing_to_do() -> None:
    part = drawn({"producer": [group(role="producer-history", free=4, n=4)]})["Producer, history"]
    assert (part.level, part.line) == ("", "0 of 4 at work")


def test_feeds_and_servers_that_do_not_deliver_are_marked() -> None:
    boxes = drawn(feeds=(2, 3), failing={"stream": "refused", "database": "refused"})
    assert boxes["simulator"].word == "2 of 3 live"
    assert {title for title, part in boxes.items() if part.word == "does not answer"} == {
        "tick-data",
        "candle-data",
        "dynamic topics",
        "Database",
    }


@pytest.mark.django_db
def test_the_picture_is_on_the_page_and_its_boxes_lead_to_the_actors(client: Client) -> None:
    Coordinator.objects.create(name="coordinator-1", owner="here:1:1", heartbeat_at=None)
    Producer.objects.create(name="producer-live-1", role="producer-live")
    FixedTopicConsumer.objects.create(name="fixed-tick-1", role="fixed-tick")
    FixedTopicConsumer.objects.create(name="fixed-tick-2", role="fixed-tick")
    Coordinator.objects.update(heartbeat_at=SteadyNow())
    page = client.get("/actors").content.decode()
    assert 'href="/actors/coordinator/coordinator-1"' in page
    assert 'class="part actor error" href="/actors/producer/producer-live-1"' in page
    assert 'class="part actor error" href="/actors/fixedtopicconsumer"' in page  # two of them: the page of the kind


@pytest.mark.django_db
def test_the_picture_is_shown_while_the_cache_is_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> dict[str, int]:
        raise ValkeyAway

    monkeypatch.setattr("dashboard.flow.figures.followers_by_process", away)
    assert client.get("/actors").status_code == 200


def test_the_box_of_the_providers_says_who_they_are_in_what_fits() -> None:
    assert short_name("simulator/seed=1/rate=3") == "simulator"
    assert short_name("coinbase, kraken") == "coinbase, kraken"
    assert short_name("binance, coinbase, kraken") == "3 providers"
