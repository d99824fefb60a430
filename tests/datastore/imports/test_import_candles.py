from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import transaction

from datastore.backfill.completion import add_final_gap
from datastore.backfill.history_write import store_history
from datastore.models import Coverage, Market, ProviderCandle
from datastore.reference.markets import ensure_markets
from datastore.series.reader import read_completeness
from datastore.timeframes.intervals import moment
from ingestion.history.pages import PageOrigin, PageRequest, records_of
from ingestion.providers.answers import Answer, CandlePage, CandlesAsked
from ingestion.providers.binance.provider import PROVIDER
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.public_files import DAY_MS, MINUTE_MS, SYMBOL, kline, run, zipped

pytestmark = pytest.mark.django_db
NAME = "BTCUSDT-1m-2024-01-05.zip"
FLAT = ("11", "11", "11", "11")
COLUMNS = ("open_time", "open", "high", "low", "close", "volume", "quote_volume")


@pytest.fixture(autouse=True)
def market(provider_time: ProviderTime, settings: Any) -> Market:
    settings.PROVIDERS = ["binance"]
    provider_time.set((DAY_MS + 36 * 60 * MINUTE_MS) * 1000)
    return ensure_markets([SYMBOL])[0]


def lines(unit: int = 1) -> list[str]:
    """Return ten minutes: the fourth is quiet, and the seventh, in which the venue did not trade, has no line."""
    return [
        kline(3, FLAT, "0", unit) if minute == 3 else kline(minute, (f"{minute + 9}.5", "22", "9", "11"), unit=unit)
        for minute in range(10)
        if minute != 6
    ]


def state(market: Market) -> tuple[Any, ...]:
    market.refresh_from_db()
    spans = Coverage.objects.filter(market=market).order_by("start").values_list("source", "proof", "start", "stop")
    candles = ProviderCandle.objects.filter(market=market).order_by("open_time").values_list("revision", *COLUMNS)
    return market.version, list(spans), list(candles)


def answered(market: Market) -> None:
    """Store the same minutes as REST history answers them."""
    start, stop = DAY_MS * 1000, (DAY_MS + 10 * MINUTE_MS) * 1000
    rows = ",".join(
        "[{},{},{}]".format(start, ",".join(f'"{text}"' for text in texts), f'{stop},"{quote}",{trades},"0","0","0"')
        for start, *texts, stop, quote, trades in (line.split(",")[:9] for line in lines())
    )
    answer = Answer(200, {"Date": "Sat, 06 Jan 2024 12:00:00 GMT"}, f"[{rows}]".encode())
    page = PROVIDER.history.read_candles(CandlesAsked("BTCUSDT", 60, start, stop), answer)
    assert isinstance(page, CandlePage)
    candles = PROVIDER.traits.candles
    found = records_of(candles, page, PageRequest(60, start, stop), PageOrigin(SYMBOL, 1, 1, 1))
    with transaction.atomic():
        store_history(found)


@pytest.mark.parametrize("unit", [1, 1000], ids=["milliseconds", "microseconds"])
def test_a_file_stores_what_rest_history_stores(market: Market, tmp_path: Path, unit: int) -> None:
    answered(market)
    by_rest = state(market)[1:]
    Market.objects.all().delete()
    Coverage.objects.all().delete()
    (again,) = ensure_markets([SYMBOL])

    out = run("import_candles", SYMBOL, zipped(tmp_path, NAME, lines(unit), checksum=True))
    assert state(again)[1:] == by_rest
    assert "9 rows, 8 new, 1 quiet; checksum right." in out
    assert "proven (candle): 9 of 10 buckets" in out
    assert "2024-01-05 00:00:00 to 2024-01-05 00:06:00 UTC" in out


def test_the_same_file_twice_changes_nothing(market: Market, tmp_path: Path) -> None:
    path = zipped(tmp_path, NAME, lines())
    run("import_candles", SYMBOL, path)
    before = state(market)
    assert "9 rows, 8 stored already, 1 quiet" in run("import_candles", SYMBOL, path)
    assert state(market) == before


def test_a_candle_that_was_published_again_replaces_the_stored_one(market: Market, tmp_path: Path) -> None:
    run("import_candles", SYMBOL, zipped(tmp_path, NAME, lines()))
    text = lines()
    text[1] = kline(1, volume="4.25")
    assert "7 stored already, 1 stored otherwise, 1 quiet" in run(
        "import_candles", SYMBOL, zipped(tmp_path, NAME, text)
    )
    assert Decimal("4.25") in ProviderCandle.objects.values_list("volume", flat=True)


def test_hours_and_days_of_a_month_are_taken_and_other_lengths_are_refused(market: Market, tmp_path: Path) -> None:
    hour = kline(0)
    out = run("import_candles", SYMBOL, zipped(tmp_path, "BTCUSDT-1h-2024-01.zip", [hour]))
    assert "proven (candle): 1 of 1 bucket" in out
    assert ProviderCandle.objects.get().resolution == 3600
    with pytest.raises(CommandError, match="it has 5m: candles of 1m, 1h, 1d are kept"):
        run("import_candles", SYMBOL, zipped(tmp_path, "BTCUSDT-5m-2024-01.zip", [hour]))
    with pytest.raises(CommandError, match="its name does not say what it is"):
        run("import_candles", SYMBOL, zipped(tmp_path, "candles.zip", [hour]))


def test_a_dry_run_writes_nothing(market: Market, tmp_path: Path) -> None:
    before = state(market)
    assert "8 new" in run("import_candles", SYMBOL, zipped(tmp_path, NAME, lines()), "--dry-run")
    assert state(market) == before


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (kline(5, ("10", "9", "8", "8.5")), "its prices contradict each other"),
        (kline(5, ("0", "9", "0", "8.5")), "a price is 0"),
        (kline(5).replace(",3.5,", ",-3.5,"), "'-3.5' is no possible number"),
        (kline(5).rpartition(",")[0], "it has 11 columns, not 12"),
        (
            kline(5).replace(str(DAY_MS + 5 * MINUTE_MS), str(DAY_MS + 5 * MINUTE_MS + 1)),
            "does not begin with a bucket",
        ),
        (kline(1), "its time is not after that of the line before"),
    ],
)
def test_a_bad_line_changes_nothing_and_is_named_with_the_reason(
    market: Market, tmp_path: Path, line: str, reason: str
) -> None:
    before, text = state(market), lines()
    text[5] = line
    with pytest.raises(CommandError) as raised:
        run("import_candles", SYMBOL, zipped(tmp_path, NAME, text))
    assert str(raised.value).startswith(f"{NAME}, line 6: ")
    assert reason in str(raised.value)
    assert state(market) == before


def test_a_candle_that_is_not_over_is_refused(market: Market, tmp_path: Path, provider_time: ProviderTime) -> None:
    provider_time.set((DAY_MS + 9 * MINUTE_MS) * 1000)
    with pytest.raises(CommandError, match="its last candle is not over yet"):
        run("import_candles", SYMBOL, zipped(tmp_path, NAME, lines()))
    assert not ProviderCandle.objects.exists()


def test_a_bad_file_among_good_ones_leaves_the_newer_ones_imported(market: Market, tmp_path: Path) -> None:
    good = zipped(tmp_path, NAME, lines())
    bad = zipped(tmp_path, "BTCUSDT-1m-2024-01-04.zip", lines())
    with pytest.raises(CommandError, match=r"2024-01-04\.zip, line 1: its time is not in the period"):
        run("import_candles", SYMBOL, bad, good)
    assert ProviderCandle.objects.count() == 8


def test_what_the_venue_would_never_answer_is_proven_by_a_file(market: Market, tmp_path: Path) -> None:
    start, stop = moment(DAY_MS * 1000), moment((DAY_MS + 6 * MINUTE_MS) * 1000)
    with transaction.atomic():
        add_final_gap(market, 60, start, stop, "older than the venue keeps")
    assert read_completeness(market, "1m", start, stop).missing
    run("import_candles", SYMBOL, zipped(tmp_path, NAME, lines()))
    assert not read_completeness(market, "1m", start, stop).missing
