"""Whether anything waits until a topic is read to its end, in one statement."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from actor_runtime.steady_time import SteadyNow
from datastore.backfill import fetch_queue
from datastore.backfill.unsettled import unsettled
from datastore.coverage.feed_progress import note_acknowledged, note_read
from datastore.models import FetchRequest
from datastore.reference.markets import ensure_markets
from datastore.reference.provider_clock import steady_now
from streaming.topics import CANDLE_DATA, TICK_DATA
from tests.support.datastore.records import BTC, NOON, moment

pytestmark = pytest.mark.django_db


def live() -> bool:
    return unsettled(TICK_DATA.name, trades=True).anything


def history() -> bool:
    return unsettled(CANDLE_DATA.name, trades=False).anything


def test_a_feed_waits_from_its_acknowledgement_until_its_topic_is_read() -> None:
    assert not live()
    note_acknowledged(f"{TICK_DATA.name}/one", moment(NOON), markets=[BTC])
    assert live() and not history()
    note_read(TICK_DATA.name, steady_now())
    assert not live()


@pytest.mark.parametrize(("resolution", "waits"), [(60, (False, True)), (FetchRequest.TRADES, (True, False))])
def test_a_request_waits_for_its_own_topic_once_it_is_published(resolution: int, waits: tuple[bool, bool]) -> None:
    (market,) = ensure_markets([BTC])
    request = fetch_queue.enqueue(market, 60, moment(NOON), moment(NOON) + timedelta(hours=1), fetch_queue.Purpose.GAP)
    FetchRequest.objects.update(resolution=resolution)
    assert request and not live() and not history()
    FetchRequest.objects.update(state="published", published_at=SteadyNow())
    assert (live(), history()) == waits


def test_it_is_one_statement_with_the_time(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    before = steady_now()
    with django_assert_num_queries(1):
        found = unsettled(TICK_DATA.name, trades=True)
    assert before <= found.at <= steady_now()
