from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from datastore import metrics
from datastore.backfill import fetch_queue
from datastore.backfill.fetch_queue import Purpose, State, enqueue
from datastore.backfill.gap_repair import MAX_REPAIR_DELAY, open_gaps, reopen, scan
from datastore.coverage.feed_progress import note_acknowledged
from datastore.coverage.reasons import ReasonCode
from datastore.ingest.live_write import store_live
from datastore.models import Coverage, FetchRequest, GapRepair, Market
from datastore.reference.markets import ensure_markets
from datastore.series.reader import read_series
from streaming.records import LiveRecord
from tests.support.datastore.answers import answered, done, failed, store
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, FEED, MINUTE, NOON, SECOND, closed, micros, moment, opened, watermark

pytestmark = pytest.mark.django_db

HOUR = 60 * MINUTE


@pytest.fixture
def btc(provider_time: ProviderTime) -> Market:
    """A feed from noon, away from 12:10:30 to 12:15:20, watched until 12:30."""
    (market,) = ensure_markets([BTC])
    provider_time.set(NOON + 30 * MINUTE + 5 * SECOND)
    back = NOON + 15 * MINUTE + 20 * SECOND
    live(
        opened(1, NOON),
        watermark(2, NOON + 10 * MINUTE + 30 * SECOND),
        closed(3, None, "socket lost"),
        opened(4, back),
        watermark(5, NOON + 30 * MINUTE, back),
    )
    return market


def live(*records: LiveRecord) -> None:
    with transaction.atomic():
        store_live(records)


def rows(resolution: int = 60) -> list[tuple[int, int, str, int]]:
    """Return the holes under repair, in minutes from noon."""
    found = GapRepair.objects.filter(resolution=resolution, final=False).order_by("start")
    return [
        ((micros(row.start) - NOON) // MINUTE, (micros(row.stop) - NOON) // MINUTE, row.reason, row.attempts)
        for row in found
    ]


def requests() -> list[tuple[int, int, str]]:
    found = FetchRequest.objects.filter(resolution=60).order_by("start", "id")
    return [
        ((micros(one.start) - NOON) // MINUTE, (micros(one.stop) - NOON) // MINUTE, str(one.state)) for one in found
    ]


def version_of(market: Market) -> int:
    return Market.objects.get(pk=market.pk).version


def let_it_wait_no_longer() -> None:
    GapRepair.objects.filter(final=False).update(next_try=Now() - timedelta(seconds=1))


def test_a_hole_becomes_a_row_and_a_request_at_once(btc: Market) -> None:
    version = version_of(btc)
    (change,) = scan()
    assert rows() == [(10, 16, "socket lost", 1)]
    assert requests() == [(10, 16, "queued")]
    assert FetchRequest.objects.get().purpose == Purpose.GAP
    assert (change.market, change.version, change.changed) == (BTC, version + 1, True)
    assert GapRepair.objects.get().version == version_of(btc) == version + 1
    gap = read_series(btc, "1m", moment(NOON), moment(NOON + 20 * MINUTE)).segments[1]
    assert (gap.state, gap.repair and gap.repair["attempts"]) == ("gap", 1)


def test_a_gap_has_the_code_of_its_reason_in_its_row_and_wherever_it_is_shown(btc: Market) -> None:
    Coverage.objects.filter(reason="socket lost").update(code="socket")
    scan()
    codes = {(row.code, row.reason) for row in GapRepair.objects.filter(resolution=60)}
    assert codes == {("socket", "socket lost")}
    gap = read_series(btc, "1m", moment(NOON), moment(NOON + 20 * MINUTE)).segments[1]
    assert (gap.code, gap.repair and gap.repair["code"]) == ("socket", "socket")
    (part,) = read_series(btc, "1m", moment(NOON), moment(NOON + 20 * MINUTE)).completeness.missing
    assert (part.code, part.reason) == ("socket", "socket lost")


def test_what_keeps_a_gap_from_being_fetched_is_a_kind_of_its_own_and_so_is_what_will_never_come(btc: Market) -> None:
    scan()
    FetchRequest.objects.update(error="no answer")
    scan()
    assert set(GapRepair.objects.values_list("code", "reason")) == {(ReasonCode.FETCH, "no answer")}
    store(failed(FetchRequest.objects.get().pk, NOON + 10 * MINUTE, NOON + 16 * MINUTE))
    assert set(GapRepair.objects.values_list("code", "reason")) == {(ReasonCode.FINAL, "older than kept")}
    assert dict(metrics.gap_reasons()) == {"final": 1}


def test_a_scan_that_finds_nothing_new_changes_nothing(btc: Market) -> None:
    scan()
    before = version_of(btc), list(GapRepair.objects.values()), list(FetchRequest.objects.values())
    assert not any(change.changed for change in scan())
    let_it_wait_no_longer()
    GapRepair.objects.update(next_try=before[1][0]["next_try"])
    assert not any(change.changed for change in scan())
    assert (version_of(btc), list(GapRepair.objects.values()), list(FetchRequest.objects.values())) == before


def test_a_hole_goes_away_when_it_is_filled_and_the_answer_is_whole(btc: Market) -> None:
    scan()
    request = FetchRequest.objects.get()
    fetch_queue.start(request.pk, "job")
    store(answered(NOON + 10 * MINUTE, NOON + 16 * MINUTE), done(request.pk))
    version = version_of(btc)
    assert scan()[0].changed
    assert (rows(), version_of(btc)) == ([], version + 1)
    assert requests() == [(10, 16, "done")]
    assert read_series(btc, "1m", moment(NOON), moment(NOON + 30 * MINUTE)).complete
    assert not any(change.changed for change in scan())


def test_what_is_left_of_a_hole_keeps_its_attempts(btc: Market) -> None:
    scan()
    store(answered(NOON + 12 * MINUTE, NOON + 14 * MINUTE))
    scan()
    assert rows() == [(10, 12, "socket lost", 1), (14, 16, "socket lost", 1)]
    assert requests() == [(10, 16, "queued")]


def test_what_the_provider_cannot_give_is_asked_for_less_and_less_often(btc: Market) -> None:
    scan()
    waits = []
    for attempt in range(2, 12):
        request = FetchRequest.objects.latest("id")
        store(failed(request.pk, NOON + 10 * MINUTE, NOON + 16 * MINUTE, f"trouble {attempt}", final=False))
        scan()
        assert FetchRequest.objects.count() == attempt - 1  # not yet: the back-off runs
        let_it_wait_no_longer()
        scan()
        assert rows() == [(10, 16, f"trouble {attempt}", attempt)]
        assert FetchRequest.objects.count() == attempt
        (again,) = GapRepair.objects.annotate(wait=F("next_try") - Now()).values_list("wait", flat=True)
        waits.append(round(again / timedelta(seconds=30)))
    assert waits == [2, 4, 8, 16, 32, 64, 120, 120, 120, 120]
    assert timedelta(hours=1) == MAX_REPAIR_DELAY


def test_a_provider_that_is_away_is_named_as_the_reason(btc: Market) -> None:
    scan()
    request = FetchRequest.objects.get()
    fetch_queue.start(request.pk, "job")
    fetch_queue.requeue(request.pk, "job", "503 of the provider", timedelta(minutes=1))
    let_it_wait_no_longer()
    scan()
    assert rows() == [(10, 16, "503 of the provider", 1)]
    assert requests() == [(10, 16, "queued")]


def test_a_hole_that_was_refused_for_good_is_not_asked_for_again(btc: Market) -> None:
    scan()
    store(failed(FetchRequest.objects.get().pk, NOON + 10 * MINUTE, NOON + 16 * MINUTE))
    for _ in range(2):
        let_it_wait_no_longer()
        scan()
    assert rows() == []
    assert requests() == [(10, 16, "failed")]
    assert [(row.final, row.reason) for row in open_gaps(btc)] == [(True, "older than kept")]


def test_a_market_that_the_provider_denies_for_minutes_is_healed_afterwards(btc: Market) -> None:
    for attempt in range(1, 5):
        scan()
        denied = FetchRequest.objects.latest("id")
        store(failed(denied.pk, NOON + 10 * MINUTE, NOON + 16 * MINUTE, "market does not exist", final=False))
        assert rows()[0][3] == attempt
        let_it_wait_no_longer()
    assert not open_gaps(btc)[0].final
    scan()
    store(answered(NOON + 10 * MINUTE, NOON + 16 * MINUTE), done(FetchRequest.objects.latest("id").pk))
    scan()
    assert open_gaps(btc) == []
    assert read_series(btc, "1m", moment(NOON), moment(NOON + 30 * MINUTE)).complete


def test_a_final_hole_is_asked_for_again_once_a_person_reopens_it(btc: Market) -> None:
    scan()
    store(failed(FetchRequest.objects.get().pk, NOON + 10 * MINUTE, NOON + 16 * MINUTE))
    scan()
    version = version_of(btc)
    assert reopen(btc, 60, moment(NOON + 12 * MINUTE), moment(NOON + 14 * MINUTE - 1))
    assert version_of(btc) == version + 1
    assert not reopen(btc, 60, moment(NOON + 12 * MINUTE), moment(NOON + 14 * MINUTE))
    assert [((micros(row.start) - NOON) // MINUTE, row.final) for row in open_gaps(btc)] == [(14, True), (10, True)]
    scan()
    assert rows() == [(12, 14, "older than kept", 1)]
    assert requests() == [(10, 16, "failed"), (12, 14, "queued")]
    request = FetchRequest.objects.latest("id")
    store(answered(NOON + 12 * MINUTE, NOON + 14 * MINUTE), done(request.pk))
    scan()
    assert [row.final for row in open_gaps(btc)] == [True, True]


def test_what_is_refused_of_a_hole_is_cut_out_of_it_at_once(btc: Market) -> None:
    scan()
    store(failed(FetchRequest.objects.get().pk, NOON + 11 * MINUTE, NOON + 13 * MINUTE))
    assert rows() == [(10, 11, "socket lost", 1), (13, 16, "socket lost", 1)]
    assert [row.final for row in open_gaps(btc)] == [False, True, False]


def test_a_hole_that_grows_is_asked_for_where_it_grew(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 35 * MINUTE)  # nothing since 12:30: the feed is stale
    scan()
    assert rows() == [(10, 16, "socket lost", 1), (30, 33, "feed stale", 1)]
    fetch_queue.start(FetchRequest.objects.latest("start").pk, "job")
    provider_time.set(NOON + 36 * MINUTE)
    scan()
    assert rows()[1:] == [(30, 34, "feed stale", 1)]
    assert requests() == [(10, 34, "fetching"), (34, 35, "queued")]
    provider_time.set(NOON + 37 * MINUTE)
    scan()
    assert rows()[1:] == [(30, 35, "feed stale", 1)]
    assert requests() == [(10, 34, "fetching"), (34, 36, "queued")]


def test_what_no_feed_will_bring_is_asked_for_as_soon_as_it_is_final(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.set(NOON + 31 * MINUTE + 20 * SECOND)
    scan()
    assert requests() == [(10, 16, "queued")]  # 12:30 is over and not final
    provider_time.set(NOON + 32 * MINUTE + SECOND)
    scan()
    assert requests() == [(10, 16, "queued"), (30, 31, "queued")]
    assert rows() == [(10, 16, "socket lost", 1)]  # the watermark still waits at 12:30:31 for the feed


def test_what_is_acknowledged_comes_by_itself_and_what_follows_is_asked_for(
    btc: Market, provider_time: ProviderTime
) -> None:
    note_acknowledged(FEED, moment(NOON + 32 * MINUTE + SECOND), markets=[BTC])
    provider_time.set(NOON + 35 * MINUTE)
    scan()
    assert requests() == [(10, 16, "queued"), (32, 34, "queued")]


def test_what_failed_ahead_of_the_watermark_is_not_asked_for_at_every_scan(
    btc: Market, provider_time: ProviderTime
) -> None:
    provider_time.set(NOON + 32 * MINUTE + SECOND)
    scan()
    store(failed(FetchRequest.objects.latest("start").pk, NOON + 30 * MINUTE, NOON + 31 * MINUTE, final=False))
    scan()
    assert requests() == [(10, 16, "queued"), (30, 31, "failed")]


def test_what_was_asked_for_and_never_came_is_a_hole_too(btc: Market) -> None:
    (request,) = enqueue(btc, 60, moment(NOON - 5 * MINUTE), moment(NOON), Purpose.READER)
    scan()
    assert rows() == [(-5, 0, "before the feed began", 0), (10, 16, "socket lost", 1)]
    store(failed(request.pk, NOON - 5 * MINUTE, NOON, "key refused", final=False))
    scan()
    assert rows()[0] == (-5, 0, "key refused", 1)


def test_what_a_reader_waits_for_is_no_attempt_of_the_repair(btc: Market) -> None:
    enqueue(btc, 60, moment(NOON - 50 * MINUTE), moment(NOON - 10 * MINUTE), Purpose.READER)
    for _ in range(2):
        scan()
        before, after, lost = rows()
        assert (before, after) == ((-50, -10, "before the feed began", 0), (-10, 0, "before the feed began", 1))
        assert lost == (10, 16, "socket lost", 1)
    assert requests() == [(-50, -10, "queued"), (-10, 16, "queued")]


def test_many_small_holes_are_one_request(provider_time: ProviderTime) -> None:
    ensure_markets([BTC])
    provider_time.set(NOON + HOUR)
    records: list[LiveRecord] = []
    for at in range(0, 40, 4):
        n, start = len(records) + 1, NOON + at * MINUTE
        records += [opened(n, start), watermark(n + 1, start + 3 * MINUTE, start), closed(n + 2, None, start=start)]
    live(*records)
    scan()
    assert len(rows()) == 10
    assert requests() == [(3, 59, "queued")]


def test_an_hour_is_asked_for_only_when_it_is_final_and_its_minutes_do_not_make_it(
    btc: Market, provider_time: ProviderTime
) -> None:
    live(watermark(6, NOON + 2 * HOUR, NOON + 15 * MINUTE + 20 * SECOND))
    provider_time.set(NOON + 2 * HOUR + 5 * SECOND)
    scan()
    assert rows(3600) == [(0, 60, "socket lost", 1)]
    store(answered(NOON + 10 * MINUTE, NOON + 16 * MINUTE))
    scan()
    assert rows(3600) == []


def test_nothing_is_a_hole_before_the_providers_time_is_known(btc: Market, provider_time: ProviderTime) -> None:
    provider_time.forget()
    assert scan() == []
    assert not GapRepair.objects.exists()


def test_a_market_that_nobody_asked_for_has_no_holes(provider_time: ProviderTime) -> None:
    provider_time.set(NOON)
    (market,) = ensure_markets([BTC])
    assert [(change.changed, change.version) for change in scan()] == [(False, 0)]
    assert open_gaps(market) == []
    assert State.QUEUED not in FetchRequest.objects.values_list("state", flat=True)
