"""Every write that changes a certificate notes the stretch, with the version that shows it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import transaction

from datastore.backfill.gap_repair import scan
from datastore.ingest.live_write import store_live
from datastore.models import CoverageChange, GapRepair, Market
from datastore.models.coverage import CHANGE_RETENTION_VERSIONS
from datastore.reference.markets import ensure_markets, unfollow
from tests.datastore.conftest import ProviderTime
from tests.support.datastore.answers import answered, failed, store
from tests.support.datastore.records import BTC, MINUTE, NOON, closed, moment, opened, watermark

pytestmark = pytest.mark.django_db
Noted = list[tuple[str, int, int, int]]


@pytest.fixture
def market(provider_time: ProviderTime) -> Market:
    provider_time.set(NOON + 60 * MINUTE)
    return ensure_markets([BTC])[0]


def live(*records: object) -> None:
    with transaction.atomic():
        store_live(records)  # type: ignore[arg-type]


def minute(at: datetime) -> int:
    return (at - moment(NOON)) // timedelta(minutes=1)


def noted(market: Market) -> Noted:
    """Return what the newest version has noted: what, resolution, minutes since noon; and forget it."""
    version = Market.objects.get(pk=market.pk).version
    rows = CoverageChange.objects.filter(market=market).order_by("start")
    assert {row.version for row in rows} <= {version}
    found = [(row.what, row.resolution, minute(row.start), minute(row.stop)) for row in rows]
    rows.delete()
    return found


def test_a_span_notes_what_it_gains_and_only_where_readers_saw_otherwise(market: Market) -> None:
    live(opened(1, NOON), watermark(2, NOON + 5 * MINUTE))
    assert noted(market) == [("live", 0, 0, 5)]
    live(watermark(3, NOON + 20 * MINUTE))  # the market was thought to be known up to STALE_AFTER ago already
    assert noted(market) == [("live", 0, 5, 20)]
    live(watermark(4, NOON + 59 * MINUTE))
    noted(market)
    live(watermark(5, NOON + 59 * MINUTE + 30_000_000))  # grows over what nobody could know yet
    assert noted(market) == []


def test_an_answer_of_the_provider_notes_itself_not_what_it_was_joined_to(market: Market) -> None:
    store(answered(NOON, NOON + 10 * MINUTE))
    assert noted(market) == [("provider", 60, 0, 10)]
    store(answered(NOON + 10 * MINUTE, NOON + 12 * MINUTE))
    assert noted(market) == [("provider", 60, 10, 12)]
    store(answered(NOON + 3 * MINUTE, NOON + 5 * MINUTE))
    assert noted(market) == []


def test_a_hole_is_noted_when_it_is_found_asked_for_refused_and_filled(market: Market) -> None:
    live(opened(1, NOON), watermark(2, NOON + 5 * MINUTE), closed(3, NOON + 5 * MINUTE))
    begun, feed = NOON + 8 * MINUTE, "tick-data/b"
    live(opened(1, begun, feed=feed), watermark(2, NOON + 59 * MINUTE, begun, feed=feed))
    CoverageChange.objects.all().delete()
    scan()
    assert ("hole", 60, 5, 8) in noted(market)
    store(failed(1, NOON + 5 * MINUTE, NOON + 6 * MINUTE))
    assert noted(market) == [("hole", 60, 5, 6)]
    store(answered(NOON + 6 * MINUTE, NOON + 8 * MINUTE))
    CoverageChange.objects.all().delete()
    scan()
    assert ("hole", 60, 6, 8) in noted(market)


def test_holes_that_nobody_repairs_any_more_are_noted(market: Market) -> None:
    GapRepair.objects.create(
        market=market, resolution=60, start=moment(NOON), stop=moment(NOON + 3 * MINUTE), reason="socket lost"
    )
    unfollow(market)
    assert noted(market) == [("hole", 60, 0, 3)]


def test_what_nobody_may_ask_for_any_more_is_forgotten(market: Market) -> None:
    store(answered(NOON, NOON + 10 * MINUTE))
    store(answered(NOON + 10 * MINUTE, NOON + 12 * MINUTE))
    first, second = CoverageChange.objects.order_by("version").values_list("version", flat=True)
    Market.objects.update(version=first + CHANGE_RETENTION_VERSIONS)
    assert CoverageChange.forget_old() == 1
    assert list(CoverageChange.objects.values_list("version", flat=True)) == [second]
