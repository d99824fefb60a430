from __future__ import annotations

import pytest

from actor_runtime.charts import edges, failure_event, label
from actor_runtime.models import Actor, actor_models
from consumers.models import DynamicTopicConsumer, FixedTopicConsumer
from coordination.models import Coordinator
from datastore.models import DatastoreRequest
from ingestion.models import Producer, Target

# The customer's charts, written out by hand: event | from | to.
PRODUCER = """
FETCH_DATA | Idle | Fetching Data
CREATE_DYNAMIC_TOPIC | Idle | Creating Dynamic Topic
DATA_READY | Fetching Data | Publishing to Fixed Topics
DATA_READY | Fetching Data | Publishing to Dynamic Topics
FETCH_FAILURE | Fetching Data | Error
PUBLISH_SUCCESS | Publishing to Fixed Topics | Idle
PUBLISH_SUCCESS | Publishing to Dynamic Topics | Idle
PUBLISH_FAILURE | Publishing to Fixed Topics | Error
PUBLISH_FAILURE | Publishing to Dynamic Topics | Error
CREATE_TOPIC_SUCCESS | Creating Dynamic Topic | Idle
CREATE_TOPIC_FAILURE | Creating Dynamic Topic | Error
RESET | Error | Idle
"""
COORDINATOR = """
REQUEST_CREATE_TOPIC | Active | Processing Create Topic
CREATE_TOPIC_SUCCESS | Processing Create Topic | Notifying Actors
CREATE_TOPIC_FAILURE | Processing Create Topic | Error
NOTIFY_SUCCESS | Notifying Actors | Active
NOTIFY_FAILURE | Notifying Actors | Error
RESET | Error | Active
"""
FIXED_TOPIC_CONSUMER = """
MESSAGE_RECEIVED | Idle | Processing Message
PROCESS_SUCCESS | Processing Message | Writing to DB
PROCESS_FAILURE | Processing Message | Error
WRITE_SUCCESS | Writing to DB | Updating Redis
WRITE_FAILURE | Writing to DB | Error
UPDATE_CACHE_SUCCESS | Updating Redis | Idle
UPDATE_CACHE_FAILURE | Updating Redis | Error
RESET | Error | Idle
"""
DYNAMIC_TOPIC_CONSUMER = """
SUBSCRIBE_TO_TOPIC | Idle | Subscribing
SUBSCRIBE_SUCCESS | Subscribing | Consuming
SUBSCRIBE_FAILURE | Subscribing | Error
MESSAGE_RECEIVED | Consuming | Processing Message
PROCESS_SUCCESS | Processing Message | Writing to DB
PROCESS_FAILURE | Processing Message | Error
WRITE_SUCCESS | Writing to DB | Updating Redis
WRITE_FAILURE | Writing to DB | Error
UPDATE_CACHE_SUCCESS | Updating Redis | Consuming
UPDATE_CACHE_FAILURE | Updating Redis | Error
RESET | Error | Idle
"""
DATASTORE_REQUEST = """
REQUEST_DATA | Idle | Processing Request
START_DB_QUERY | Processing Request | Querying DB
DB_QUERY_SUCCESS | Querying DB | Data Found
DB_QUERY_EMPTY | Querying DB | Data Not Found
DB_QUERY_FAILURE | Querying DB | Error
(automatic) | Data Found | Returning Data
(automatic) | Data Not Found | Requesting Data Fetch
FETCH_INSTRUCTIONS_SENT | Requesting Data Fetch | Waiting for Data
DATA_FETCHED | Waiting for Data | Returning Data
DATA_FETCH_FAILED | Waiting for Data | Error
RETURN_DATA_SUCCESS | Returning Data | Idle
RETURN_DATA_FAILURE | Returning Data | Idle
RESET | Error | Idle
"""
CHARTS = [
    (Producer, PRODUCER),
    (Coordinator, COORDINATOR),
    (FixedTopicConsumer, FIXED_TOPIC_CONSUMER),
    (DynamicTopicConsumer, DYNAMIC_TOPIC_CONSUMER),
    (DatastoreRequest, DATASTORE_REQUEST),
]


def as_table(model: type[Actor]) -> list[str]:
    return sorted(f"{edge.event} | {label(model, edge.source)} | {label(model, edge.target)}" for edge in edges(model))


@pytest.mark.parametrize(("model", "table"), CHARTS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_chart_in_the_code_is_the_customers_edge_by_edge(model: type[Actor], table: str) -> None:
    assert as_table(model) == sorted(table.strip().splitlines())


@pytest.mark.parametrize(("model", "table"), CHARTS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_state_is_on_an_arrow_and_begins_where_the_chart_begins(model: type[Actor], table: str) -> None:
    on_arrows = {part for line in table.strip().splitlines() for part in line.split(" | ")[1:]}
    assert set(model.State.labels) == on_arrows
    assert label(model, model().state) == table.split("|")[1].strip()


def test_there_are_five_charts() -> None:
    assert set(actor_models()) == {model for model, _ in CHARTS}


@pytest.mark.parametrize(("model", "table"), CHARTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_state_has_at_most_one_arrow_to_error_and_it_can_be_found(model: type[Actor], table: str) -> None:
    failures = [line.split(" | ") for line in table.strip().splitlines() if line.endswith("| Error")]
    expected = {source: event.lower() for event, source, _ in failures}
    assert len(expected) == len(failures)
    assert {str(s.label): failure_event(model, s.value) for s in model.State} == {
        str(label): expected.get(str(label)) for label in model.State.labels
    }


def test_data_ready_goes_where_the_cycle_publishes_to() -> None:
    for target, state in ((Target.FIXED, "publishing_to_fixed_topics"), ("dynamic", "publishing_to_dynamic_topics")):
        producer = Producer(name="live-1")
        producer.fetch_data()
        producer.data_ready(target)
        assert producer.state == state


@pytest.mark.parametrize(("model", "table"), CHARTS, ids=lambda value: getattr(value, "__name__", ""))
def test_everything_has_its_place_in_the_drawing(model: type[Actor], table: str) -> None:
    assert set(model.places) == set(model.State.values)
    assert len(set(model.places.values())) == len(model.places)
    assert {event.upper() for event in model.hot_events | model.done_events} <= {
        arrow.name.upper() for arrow in model.state.field.get_all_transitions(model)
    }
