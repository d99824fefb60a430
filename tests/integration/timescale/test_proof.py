"""What the aggregates prove, and that nothing makes them say less than they knew."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import InternalError, transaction
from structlog.testing import capture_logs

from datastore.db.queries import execute, fetch_all, fetch_value
from datastore.engines.timescale import TimescaleEngine
from datastore.ingest.live_write import digest
from datastore.models import Candle, Market, Tick
from datastore.tasks import aggregate, pack, retention, verify_market
from datastore.tasks import verify as nightly
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, NOON, SECOND, moment, store, trade
from tests.support.timescale.feed import BEGIN, DAY, END, HOUR
from tests.support.timescale.parity_log import aggregates, count, verified

pytestmark = pytest.mark.usefixtures("timescale")


def test_a_changed_and_a_missing_candle_are_named_and_healed(market: Market) -> None:
    before = digest(market)
    minute = Candle.objects.filter(market=market, resolution=60, trades__gt=0).earliest("open_time")
    hour = Candle.objects.filter(market=market, resolution=3600, trades__gt=0).latest("open_time")
    Candle.objects.filter(pk=minute.pk).update(close="0.5")
    Candle.objects.filter(market=market, resolution=3600, open_time=moment(NOON)).delete()
    Candle.objects.filter(pk=hour.pk).update(trades=999)  # still open: no aggregate holds it, its trades do
    told, well = verified()
    assert not well and "3 candles" in told
    for named in (minute.open_time, moment(NOON), hour.open_time):
        assert f"{named:%Y-%m-%d %H:%M}" in told
    told, well = verified("--heal")
    assert well and "Healed 3 of 3" in told
    assert digest(market) == before


def test_the_nightly_verification_looks_at_all_that_is_kept(market: Market) -> None:
    first = Candle.objects.filter(market=market, resolution=60, trades__gt=0).earliest("open_time")
    assert first.open_time < moment(END - 2 * DAY)
    Candle.objects.filter(pk=first.pk).update(high="77")
    with capture_logs() as logs:
        nightly()
    wrong = [entry for entry in logs if entry["event"] == "candle differs from its trades"]
    assert [(one["market"], one["open_time"]) for one in wrong] == [(BTC, first.open_time.isoformat())]


def test_an_aggregate_that_was_tampered_with_is_named_and_made_anew(market: Market) -> None:
    table = fetch_value(
        "select format('%%I.%%I', materialization_hypertable_schema, materialization_hypertable_name)"
        " from timescaledb_information.continuous_aggregates where view_name = %s",
        ["aggregate_1h"],
    )
    execute(f"update {table} set high = high + 1 where open_time = %s and market_id = %s", [moment(NOON), market.pk])  # noqa: S608
    before = digest(market)
    told, well = verified("--heal")
    assert well and "Healed 1 of 1" in told
    assert digest(market) == before


def test_a_late_trade_reaches_a_packed_chunk_the_candles_and_with_the_next_refresh_the_aggregates(
    market: Market, provider_time: ProviderTime
) -> None:
    pack()
    packed = "select count(*) from timescaledb_information.chunks where is_compressed and hypertable_name = 'tick'"
    assert fetch_value(packed) == 2
    store(trade(9001, BEGIN + HOUR, "12345.6789", "3"), trade(9001, BEGIN + HOUR, "12345.6789", "3"))
    assert Tick.objects.filter(trade_id="t9001").count() == 1
    held = aggregates()
    aggregate()
    assert len([one for one in aggregates() if one not in held]) == 3, "its minute, hour and day"
    assert verified()[1]
    assert TimescaleEngine().pack(moment(END)) == 0, "what came late is packed too, and no chunk is new"


def test_a_refresh_takes_in_no_bucket_that_is_open(market: Market, provider_time: ProviderTime) -> None:
    ends = newest_ends()
    assert set(ends) == {60, 3600, 86_400}
    assert max(ends.values()) <= moment(END - 90 * SECOND)
    newest = Tick.objects.latest("ts").ts
    assert newest > ends[3600] > ends[86_400], "there are trades in the open hour and day"
    TimescaleEngine().refresh(None, moment(END + 9 * DAY))  # asked for the future
    assert newest_ends() == ends
    provider_time.forget()
    held = aggregates()
    TimescaleEngine().refresh()
    assert aggregates() == held, "without the provider's time nothing is known to be over"


def test_dropped_days_keep_their_candles_and_their_aggregates(market: Market, settings: Any) -> None:
    settings.TICK_RETENTION_DAYS = 1
    held, before, rows = aggregates(), digest(market), count("candle")
    dropped = Tick.objects.filter(ts__lt=moment(BEGIN + 2 * DAY)).count()
    with capture_logs() as logs:
        retention()
    assert sum(one["trades"] for one in logs if one["event"] == "old trades deleted") == dropped > 0
    assert not Tick.objects.filter(ts__lt=moment(BEGIN + 2 * DAY)).exists()
    assert set(Market.objects.values_list("ticks_from", flat=True)) == {moment(BEGIN + 2 * DAY)}
    TimescaleEngine().refresh(moment(BEGIN), force=True)
    assert aggregates() == held and digest(market) == before and count("candle") == rows
    market.refresh_from_db()
    found = verify_market(market, moment(BEGIN), moment(END))
    assert found.differences == [] and found.checked > 0 and found.trades_deleted > 0
    TimescaleEngine().heal(market, found.differences)
    assert TimescaleEngine().delete_old_trades(moment(END), 1) == {}


def test_a_refresh_within_a_transaction_is_refused(market: Market) -> None:
    with pytest.raises(InternalError, match="cannot run inside a transaction block"), transaction.atomic():
        TimescaleEngine().refresh()


def test_the_published_view_names_markets_and_trims_numbers(market: Market) -> None:
    row = fetch_all(
        "select open::text, trades from aggregate_candle where market = %s and resolution = 86400 and open_time = %s",
        [BTC, moment(BEGIN)],
    )
    candle = Candle.objects.get(market=market, resolution=86_400, open_time=moment(BEGIN))
    assert row == [(format(candle.open, "f"), candle.trades)]


def newest_ends() -> dict[int, datetime]:
    """Return where each resolution of the aggregates ends."""
    ends = "select resolution, max(open_time + make_interval(secs => resolution)) from aggregate_candle group by 1"
    return dict(fetch_all(ends))
