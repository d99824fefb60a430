"""How far markets are known while records of theirs wait in a topic: asked once for all, the same as for each."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from datastore.backfill.gap_repair import scan
from datastore.backfill.gap_survey import survey
from datastore.coverage.facts import Facts, Stretch, facts_of, facts_of_many, head_of
from datastore.coverage.feed_progress import acknowledged_until, note_acknowledged
from datastore.db.queries import execute, fetch_all
from datastore.models import Market
from datastore.reference.markets import ensure_markets
from tests.support.datastore import answers
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import MINUTE, NOON, SECOND, closed, moment, opened, store, trade, watermark

pytestmark = pytest.mark.django_db
SYMBOLS = [f"kraken:A{n}-EUR" for n in range(5)]
NOW = NOON + 10 * MINUTE
BOTH_HEADS = (
    "select h.behind, h.watermark, s.behind, s.watermark from market_heads(%s, '90 seconds') h"
    " cross join lateral series_head(h.market_id, '90 seconds') s order by h.market_id"
)
CALLS = "select coalesce(sum(calls), 0) from pg_stat_xact_user_functions where funcname = any (%s)"


@pytest.fixture
def markets(provider_time: ProviderTime) -> list[Market]:
    """Five markets: behind by a list, by a topic, by both, proven further than that, and not behind."""
    provider_time.set(NOW)
    markets = ensure_markets(SYMBOLS)
    named, routed, both, proven, _ = SYMBOLS
    for symbol in SYMBOLS:
        store(opened(1, NOON, market=symbol), watermark(2, NOON + 5 * MINUTE, market=symbol))
    for symbol in (routed, both):
        store(opened(1, NOON, market=symbol, feed="dyn-one/a"))
    store(watermark(3, NOON + 9 * MINUTE, market=proven))
    note_acknowledged("tick-data/list", moment(NOON + 8 * MINUTE), markets=[named, both, proven, "kraken:UNKNOWN-EUR"])
    note_acknowledged("dyn-one/a", moment(NOON + 7 * MINUTE))
    return markets


def test_heads_of_many_markets_are_those_of_each(markets: list[Market]) -> None:
    rows = fetch_all(BOTH_HEADS, [[market.pk for market in markets]])  # in one statement, so that all have one time
    assert [(behind, mark) for behind, mark, *_ in rows] == [(behind, mark) for *_, behind, mark in rows]
    assert [behind for behind, *_ in rows] == [True, True, True, False, False]


def test_a_write_stores_the_watermark_that_readers_see(markets: list[Market], provider_time: ProviderTime) -> None:
    provider_time.set(NOW + 30 * MINUTE)
    store(*(trade(4, NOON + 6 * MINUTE, market=symbol) for symbol in SYMBOLS))
    for market in Market.objects.filter(symbol__in=SYMBOLS):
        assert market.watermark is not None
        seen = head_of(market).watermark
        assert seen is not None and abs(seen - round(market.watermark.timestamp() * SECOND)) < 30 * SECOND
    waiting, waited = Market.objects.get(symbol=SYMBOLS[0]), Market.objects.get(symbol=SYMBOLS[4])
    assert waiting.watermark is not None and waiting.watermark < moment(NOW) < (waited.watermark or moment(0))


def test_facts_of_many_stretches_are_those_of_each(markets: list[Market]) -> None:
    store(closed(4, NOON + 9 * MINUTE, market=SYMBOLS[3]))
    answers.store(answers.answered(NOON - 60 * MINUTE, NOON, market=SYMBOLS[0]))
    scan()
    start, stop = NOON - 30 * MINUTE, NOW
    stretches = [
        Stretch(market.pk, resolution, moment(low), moment(stop))
        for market in markets
        for resolution in (60, 3600)
        for low in (start, NOON + 9 * MINUTE)
    ]

    def told(facts: Facts) -> object:
        evidence, head = facts.evidence, facts.head
        proven = (evidence.live, evidence.graded, evidence.provider)
        known = (head.version, head.behind, head.identity, head.simulated, head.provider)
        return known, proven, sorted(facts.ended, key=str), facts.repairs, facts.id_gaps

    by_pk = {market.pk: market for market in markets}
    for stretch, found in zip(stretches, facts_of_many(stretches), strict=True):
        single = facts_of(by_pk[stretch.market_id], stretch.resolution, stretch.start, stretch.stop)
        assert told(found) == told(single)


def test_a_survey_knows_what_is_on_its_way_to_each_market(markets: list[Market]) -> None:
    rows = fetch_all(
        "select market_id, max(acknowledged_until) from unread_feeds(%s) group by 1", [[m.pk for m in markets]]
    )
    until = {market.pk: acknowledged_until(market) for market in markets}
    assert dict(rows) == {pk: at for pk, at in until.items() if at is not None}
    assert len(rows) == 4


def test_a_batch_and_a_scan_ask_for_no_market_by_itself_how_far_it_is_behind(markets: list[Market]) -> None:
    asked = [["behind_since", "provider_now", "series_head", "provider_time_known"]]
    with transaction.atomic():
        execute("set local track_functions = 'all'")
        store(*(trade(4, NOON + 6 * MINUTE, market=symbol) for symbol in SYMBOLS))
        survey([market.pk for market in markets])
        with connection.cursor() as cursor:
            cursor.execute(CALLS, asked)
            assert cursor.fetchone() == (0,)
