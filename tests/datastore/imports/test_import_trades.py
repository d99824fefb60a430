from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import transaction

from datastore.ingest.live_write import digest, store_live
from datastore.models import IdRange, Market, ProviderClock, Tick
from datastore.reference.markets import ensure_markets
from datastore.reference.provider import remember_provider
from ingestion.providers.binance.stream import BinanceStream
from ingestion.providers.events import TradeSeen
from ingestion.trade_records import trade_record
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.public_files import (
    DAY_MS,
    MINUTE_MS,
    SYMBOL,
    Aggregate,
    Terminal,
    made_trades,
    run,
    zipped,
)

pytestmark = pytest.mark.django_db
NAME = "BTCUSDT-aggTrades-2024-01-05.zip"
COLUMNS = ("ts", "trade_id", "seq", "side", "price", "amount", "first_id", "last_id")


@pytest.fixture(autouse=True)
def market(provider_time: ProviderTime, settings: Any) -> Market:
    settings.PROVIDERS = ["binance"]
    provider_time.set((DAY_MS + 36 * 60 * MINUTE_MS) * 1000)
    return ensure_markets([SYMBOL])[0]


def feed(trades: list[Aggregate]) -> None:
    """Store trades as the live feed brings them."""
    stream = BinanceStream()
    seen = [event for one in trades for event in stream.read_frame(json.dumps(one.frame()).encode())]
    records = [
        trade_record(one, SYMBOL, "tick-data/live", n, one.ts + 5)
        for n, one in enumerate(seen, start=1)
        if isinstance(one, TradeSeen)
    ]
    with transaction.atomic():
        store_live(records)


def lines(trades: list[Aggregate], unit: int = 1) -> list[str]:
    return [one.line(unit) for one in trades]


def state(market: Market) -> tuple[Any, ...]:
    market.refresh_from_db()
    return market.version, digest(market), Tick.objects.count(), list(IdRange.objects.values_list("first", "last"))


@pytest.mark.parametrize("unit", [1, 1000], ids=["milliseconds", "microseconds"])
def test_candles_of_a_file_are_those_of_the_same_trades_through_the_feed(
    market: Market, tmp_path: Path, unit: int
) -> None:
    trades = made_trades()
    feed(trades)
    fed = digest(market)
    rows = list(Tick.objects.order_by("ts", "trade_id").values_list(*COLUMNS))
    Market.objects.all().delete()
    Tick.objects.all().delete()
    (again,) = ensure_markets([SYMBOL])

    out = run("import_trades", SYMBOL, zipped(tmp_path, NAME, lines(trades, unit), checksum=True))
    assert digest(again) == fed
    stored = Tick.objects.filter(market=again).order_by("ts", "trade_id")
    assert list(stored.values_list(*COLUMNS)) == rows
    assert "120 rows, 120 new; checksum right." in out
    assert "proven (ids): 1 of 2 whole minutes" in out
    assert list(IdRange.objects.filter(market=again).values_list("first", "last")) == [(900, trades[-1].last)]


def test_the_same_file_twice_changes_nothing(market: Market, tmp_path: Path) -> None:
    path = zipped(tmp_path, NAME, lines(made_trades()))
    run("import_trades", SYMBOL, path)
    before = state(market)
    assert "120 rows, 120 stored already; no checksum beside it." in run("import_trades", SYMBOL, path)
    assert state(market) == before


def test_what_a_kill_left_is_stored_by_the_next_try(market: Market, tmp_path: Path) -> None:
    trades = made_trades()
    feed(trades[50:])
    path = zipped(tmp_path, NAME, lines(trades))
    assert "50 new, 70 stored already" in run("import_trades", SYMBOL, path)
    whole = state(market)
    assert whole[2:] == (120, [(900, trades[-1].last)])


def test_a_kill_between_two_batches_leaves_no_hole(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trades = made_trades()
    monkeypatch.setattr("datastore.imports.checked_file.BATCH_ROWS", 50)
    feed(trades[110:])
    kept = store_live

    def killed_later(records: Any) -> Any:
        if records[0].id == "500":
            raise KeyboardInterrupt
        return kept(records)

    path = zipped(tmp_path, NAME, lines(trades))
    monkeypatch.setattr("datastore.imports.trade_import.store_live", killed_later)
    with pytest.raises(KeyboardInterrupt):
        run("import_trades", SYMBOL, path)
    assert state(market)[3] == [(trades[50].first, trades[-1].last)], "what is stored grew backwards"
    monkeypatch.setattr("datastore.imports.trade_import.store_live", kept)
    run("import_trades", SYMBOL, path)
    assert state(market)[2:] == (120, [(900, trades[-1].last)])


def test_a_dry_run_writes_nothing(market: Market, tmp_path: Path) -> None:
    before = state(market)
    out = run("import_trades", SYMBOL, zipped(tmp_path, NAME, lines(made_trades())), "--dry-run")
    assert "120 rows, 120 new" in out
    assert out.endswith("Nothing was written: --dry-run.\n")
    assert state(market) == before
    assert not ProviderClock.objects.exclude(identity="").exists()


def test_files_are_imported_from_the_newest_on_so_that_each_joins_the_next(market: Market, tmp_path: Path) -> None:
    older = made_trades(minutes=2)
    newer = made_trades(first_ms=DAY_MS + 24 * 60 * MINUTE_MS, a=older[-1].a + 1, id=older[-1].last + 1)
    paths = [
        zipped(tmp_path, NAME, lines(older)),
        zipped(tmp_path, "BTCUSDT-aggTrades-2024-01-06.zip", lines(newer)),
    ]
    feed(newer[100:])
    out = run("import_trades", SYMBOL, *paths)
    assert out.index("2024-01-06.zip: ") < out.index("2024-01-05.zip: ")
    assert state(market)[3] == [(900, newer[-1].last)]


BAD: dict[str, tuple[Callable[[str], str], str]] = {
    "column": (lambda line: line.rpartition(",")[0].rpartition(",")[0], "it has 6 columns, not 7 or 8"),
    "number": (lambda line: line.replace(line.split(",")[1], "NaN"), "'NaN' is no possible number"),
    "time": (lambda line: line.replace(line.split(",")[5], "1704412800"), "is no time in milliseconds or microseconds"),
    "day": (lambda line: line.replace(line.split(",")[5], "1704499200000"), "not in the period that the file's name"),
    "order": (lambda line: "1" + line[line.index(","):], "are not after those of the line before"),
    "truth": (lambda line: line.replace("True", "Tru").replace("False", "Fals"), "not true or false"),
    "text": (lambda line: line + "é", "not text of ASCII alone"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_line_changes_nothing_and_is_named_with_the_reason(market: Market, tmp_path: Path, fault: str) -> None:
    spoil, reason = BAD[fault]
    text = lines(made_trades())
    text[77] = spoil(text[77])
    before = state(market)
    with pytest.raises(CommandError) as raised:
        run("import_trades", SYMBOL, zipped(tmp_path, NAME, text))
    assert str(raised.value).startswith(f"{NAME}, line 78: ")
    assert reason in str(raised.value)
    assert state(market) == before


def test_a_file_that_is_cut_off_changes_nothing(market: Market, tmp_path: Path) -> None:
    path, before = zipped(tmp_path, NAME, lines(made_trades(per_minute=400))), state(market)
    whole = path.read_bytes()
    for size in (len(whole) // 2, len(whole) - 5, 0):
        path.write_bytes(whole[:size])
        with pytest.raises(CommandError, match=f"{NAME}: the archive is damaged or cut off"):
            run("import_trades", SYMBOL, path)
    bare = path.with_suffix(".csv")
    bare.write_text("\n".join(lines(made_trades()))[:-2])
    with pytest.raises(CommandError, match="line 120: its last columns are not true or false"):
        run("import_trades", SYMBOL, bare)
    assert state(market) == before


def test_a_damaged_byte_in_a_zip_is_found(market: Market, tmp_path: Path) -> None:
    path = zipped(tmp_path, NAME, lines(made_trades(per_minute=400)))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(CommandError):
        run("import_trades", SYMBOL, path)
    assert Tick.objects.count() == 0


def test_a_wrong_checksum_changes_nothing(market: Market, tmp_path: Path) -> None:
    path = zipped(tmp_path, NAME, lines(made_trades()))
    path.with_name(f"{NAME}.CHECKSUM").write_text(f"{'0' * 64}  {NAME}\n")
    with pytest.raises(CommandError, match=f"its SHA-256 is [0-9a-f]{{64}}, but {NAME}.CHECKSUM says 0{{64}}"):
        run("import_trades", SYMBOL, path)
    path.with_name(f"{NAME}.CHECKSUM").write_text("none\n")
    with pytest.raises(CommandError, match="no SHA-256 at its beginning"):
        run("import_trades", SYMBOL, path)
    assert Tick.objects.count() == 0


def test_a_file_of_another_market_is_refused_by_its_name_and_by_its_trades(market: Market, tmp_path: Path) -> None:
    other = zipped(tmp_path, "ETHUSDT-aggTrades-2024-01-05.zip", lines(made_trades()))
    with pytest.raises(CommandError, match="it is of ETHUSDT, and the market's symbol is BTCUSDT"):
        run("import_trades", SYMBOL, other)
    trades = made_trades()
    feed(trades)
    before = state(market)
    trades[60] = replace(trades[60], price="1.5")
    with pytest.raises(CommandError, match=f"its trade {trades[60].a} is not the one that is stored under the ids"):
        run("import_trades", SYMBOL, zipped(tmp_path, NAME, lines(trades)))
    assert state(market) == before, "no id is in doubt for a file that is wrong"


def test_single_trades_are_refused_with_the_way_out(market: Market, tmp_path: Path) -> None:
    path = zipped(tmp_path, "BTCUSDT-trades-2024-01-05.zip", ["1,2,3,6,1704412800000,True,True"])
    with pytest.raises(CommandError, match="take the aggTrades file of that time, with the same trades"):
        run("import_trades", SYMBOL, path)


def test_a_market_of_another_provider_takes_no_file(tmp_path: Path, settings: Any) -> None:
    settings.PROVIDERS = ["binanceus", "cryptocompare"]
    ensure_markets(["binance:ETH-USDT", "binanceus:BTC-USDT"])
    path = zipped(tmp_path, "ETHUSDT-aggTrades-2024-01-05.zip", lines(made_trades()))
    for symbol, provider in (("binance:ETH-USDT", "cryptocompare"), ("binanceus:BTC-USDT", "binanceus")):
        with pytest.raises(CommandError, match=f"{symbol} is delivered by {provider}"):
            run("import_trades", symbol, path)


def test_real_prices_do_not_enter_a_simulated_database(market: Market, tmp_path: Path) -> None:
    remember_provider("binance", "simulator/test", True)
    with pytest.raises(CommandError, match="holds simulated prices"):
        run("import_trades", SYMBOL, zipped(tmp_path, NAME, lines(made_trades())))


def test_an_import_binds_an_empty_database_to_real_prices(market: Market, tmp_path: Path) -> None:
    run("import_trades", SYMBOL, zipped(tmp_path, NAME, lines(made_trades())))
    known = ProviderClock.objects.get(provider="binance")
    assert (known.identity, known.simulated) == ("data-api.binance.vision", False)


def test_a_file_that_would_leave_a_hole_is_refused_until_it_is_wanted(market: Market, tmp_path: Path) -> None:
    trades = made_trades()
    feed(trades[100:])
    path = zipped(tmp_path, NAME, lines(trades[:60]))
    missing = f"ids {trades[59].last + 1} to {trades[100].first - 1}"
    with pytest.raises(CommandError, match=f"trades would be missing beside it, {missing}"):
        run("import_trades", SYMBOL, path)
    assert Tick.objects.count() == 20
    run("import_trades", SYMBOL, path, "--with-holes")
    assert Tick.objects.count() == 80
    assert "100 rows" in run("import_trades", SYMBOL, zipped(tmp_path, NAME, lines(trades[:100])))


def test_trades_that_retention_would_delete_are_refused_and_counted(
    market: Market, tmp_path: Path, provider_time: ProviderTime, settings: Any
) -> None:
    settings.TICK_RETENTION_DAYS = 1
    provider_time.set((DAY_MS + (23 * 60 + 1) * MINUTE_MS + 29_000) * 1000)  # less a day, and an hour for the import
    out = run("import_trades", SYMBOL, zipped(tmp_path, NAME, lines(made_trades())))
    assert "60 new, 60 refused (older than the trades that are kept)" in out
    assert Tick.objects.count() == 60


def test_markers_headings_and_repeated_lines_are_no_trades(market: Market, tmp_path: Path) -> None:
    text = lines(made_trades())
    header = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker,is_best_match"
    marker = f"620,0.00000000,0.00000000,-1,-1,{DAY_MS + 3 * MINUTE_MS},False,True"
    out = run("import_trades", SYMBOL, zipped(tmp_path, NAME, [header, text[0], *text, marker]))
    assert "120 rows, 120 new, 1 line twice, 1 marker; no checksum beside it." in out


def test_progress_is_drawn_on_a_terminal_and_what_is_wrong_is_said_below_it(market: Market, tmp_path: Path) -> None:
    terminal, text = Terminal(), lines(made_trades())
    run("import_trades", SYMBOL, zipped(tmp_path, NAME, text), to=terminal)
    assert f"[{'#' * 30}] 1 of 1 batches stored" in terminal.getvalue()
    text[0], bad = "", Terminal()
    with pytest.raises(CommandError, match=f"{NAME}, line 1: it has 1 column, not 7 or 8"):
        run("import_trades", SYMBOL, zipped(tmp_path, NAME, text), to=bad)
    assert bad.getvalue() == "\n"
