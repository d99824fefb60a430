"""All pages beside each other: of an empty platform, and of one with 100 markets and 20 open gaps."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datastore.models import GapRepair, Market
from datastore.reference.markets import ensure_markets
from datastore.timeframes.intervals import moment
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import MINUTE, NOON

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = (
    "/",
    "/actors",
    "/actors/log",
    "/streams",
    "/gaps",
    "/requests",
    "/dead-letters",
    "/system",
    "/alerts",
    "/admin/",
    "/admin/datastore/market/",
    "/admin/datastore/gaprepair/",
)
MARKETS, GAPS = 100, 20


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_user("ada", is_staff=True, is_superuser=True))
    return client


def statements(client: Client) -> dict[str, int]:
    """Return how many statements each page takes; each must answer."""
    found = {}
    for path in PAGES:
        client.get(path)  # what is looked up once is looked up
        with CaptureQueriesContext(connection) as asked:
            assert client.get(path).status_code == 200, path
        found[path] = len(asked)
    return found


def test_every_page_answers_without_any_market(staff: Client) -> None:
    assert set(statements(staff)) == set(PAGES)


def test_a_hundred_markets_with_twenty_gaps_cost_as_many_statements_as_a_few(
    staff: Client, provider_time: ProviderTime
) -> None:
    provider_time.set(NOON + 60 * MINUTE)
    ensure_markets([f"coinbase:A{number}-USD" for number in range(3)])
    add_gap(3)
    few = statements(staff)
    ensure_markets([f"coinbase:B{number}-USD" for number in range(MARKETS - 3)])
    add_gap(GAPS - 3)
    assert (Market.objects.count(), GapRepair.objects.count()) == (MARKETS, GAPS)
    assert statements(staff) == few


def add_gap(number: int) -> None:
    """Give so many markets that have none a gap of a minute each."""
    whole = set(GapRepair.objects.values_list("market", flat=True))
    for market in Market.objects.exclude(pk__in=whole).order_by("symbol")[:number]:
        start = moment(NOON)
        span = {"start": start, "stop": start + timedelta(minutes=1)}
        GapRepair.objects.create(market=market, resolution=60, reason="the connection was lost", **span)
