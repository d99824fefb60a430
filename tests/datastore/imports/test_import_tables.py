"""Tables of one's own: trades and candles of CSV, NDJSON and Parquet, whatever their columns are called."""

from __future__ import annotations

import csv
import gzip
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from django.core.management.base import CommandError
from django.db import transaction

from datastore.ingest.live_write import digest, store_live
from datastore.models import Coverage, IdRange, Market, ProviderCandle, Tick
from datastore.reference.markets import ensure_markets
from streaming.records import Trade
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.public_files import DAY_MS, MINUTE_MS, Terminal, run

pytestmark = pytest.mark.django_db
COUNTED, NAMED = "coinbase:BTC-USD", "okx:BTC-USDT"  # the venue's ids prove, and do not
REAL = Path(os.environ.get("RECORDINGS", "nowhere"))
SIDES = {"buy": 1, "sell": -1}
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def markets(provider_time: ProviderTime, settings: Any) -> list[Market]:
    settings.PROVIDERS = ["coinbase", "okx", "kraken", "binance"]
    provider_time.set((DAY_MS + 36 * 60 * MINUTE_MS) * 1000)
    return ensure_markets([COUNTED, NAMED])


@pytest.fixture
def trades() -> list[Row]:
    """Sixty trades of three minutes, as the recordings have them: times in nanoseconds, several at a time."""
    return [
        {
            "time_ns": str((DAY_MS + place // 2 * 6_000) * 1_000_000 + 744_500),
            "trade_id": str(900 + place),
            "price": f"{44_000 + place * 7 % 11}.50000",
            "amount": f"0.{place + 1:08}",
            "side": "buy" if place % 3 else "sell",
        }
        for place in range(60)
    ]


def write_csv(path: Path, rows: list[Row], heading: bool = True) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        if heading:
            writer.writerow(rows[0])
        writer.writerows(row.values() for row in rows)
    return path


def write_ndjson(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def write_parquet(path: Path, rows: list[Row]) -> Path:
    """Write times as timestamps and numbers as decimals, as who knows the types would."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    typed = {
        "time_ns": pyarrow.array(map(int, columns["time_ns"]), pyarrow.timestamp("ns", "UTC")),
        "price": pyarrow.array(map(Decimal, columns["price"]), pyarrow.decimal128(20, 8)),
        "trade_id": pyarrow.array(map(int, columns["trade_id"])),
    }
    pyarrow.parquet.write_table(pyarrow.table({**columns, **typed}), path)
    return path


def write_packed(path: Path, rows: list[Row]) -> Path:
    plain = (write_csv if path.name.endswith(".csv.gz") else write_ndjson)(path.with_suffix(".plain"), rows)
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


WRITERS: dict[str, Callable[[Path, list[Row]], Path]] = {
    "csv": write_csv,
    "ndjson": write_ndjson,
    "parquet": write_parquet,
    "csv.gz": write_packed,
    "ndjson.gz": write_packed,
}


def feed(market: str, rows: list[Row], counted: bool = True) -> None:
    """Store trades as the live feed brings them."""
    records = [
        Trade(
            market=market,
            feed="tick-data/live",
            n=n,
            ts=int(row["time_ns"]) // 1000,
            seq=int(row["trade_id"]),
            id=row["trade_id"],
            price=Decimal(row["price"]),
            amount=Decimal(row["amount"]),
            side=SIDES[row["side"]],
            received_at=int(row["time_ns"]) // 1000,
            first=int(row["trade_id"]) if counted else None,
            last=int(row["trade_id"]) if counted else None,
        )
        for n, row in enumerate(rows, start=1)
    ]
    with transaction.atomic():
        store_live(records)


def state() -> tuple[Any, ...]:
    names = ("market__symbol", "ts", "trade_id", "seq", "side", "price", "amount", "first_id", "last_id")
    markets = Market.objects.order_by("symbol")
    ids = IdRange.objects.order_by("first").values_list("first", "last")
    return (
        [(one.symbol, one.version, digest(one)) for one in markets],
        list(Tick.objects.order_by("ts", "trade_id").values_list(*names)),
        list(ids),
    )


def fed(market: str, rows: list[Row], counted: bool = True) -> tuple[str, list[Any]]:
    """Return the digest and the trades that the feed makes of these trades, and forget them."""
    feed(market, rows, counted)
    kept = digest(Market.objects.get(symbol=market)), state()[1]
    for model in (Tick, IdRange, Coverage, Market):
        model.objects.all().delete()
    ensure_markets([market])
    return kept


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("market", [COUNTED, NAMED])
def test_candles_of_a_table_are_those_of_the_same_trades_through_the_feed(
    trades: list[Row], tmp_path: Path, kind: str, market: str
) -> None:
    kept = fed(market, trades, market == COUNTED)
    path = WRITERS[kind](tmp_path / f"trades.{kind}", trades)
    out = run("import_trades", market, path)
    assert (digest(Market.objects.get(symbol=market)), state()[1]) == kept
    assert f"trades.{kind}: 60 rows, 60 new" in out and "marked" not in out
    proven = "proven (ids): 1 of 1 whole minute" if market == COUNTED else "proven (ids): 0 of 1 whole minute"
    assert proven in out
    before = state()
    assert "60 rows, 60 stored already" in run("import_trades", market, path)
    assert state() == before


def test_trades_without_ids_are_marked_and_the_same_in_every_file_that_has_them(
    trades: list[Row], tmp_path: Path
) -> None:
    bare = [{name: value for name, value in row.items() if name != "trade_id"} for row in trades]
    bare[3] = bare[2]  # two trades that nothing tells apart are two trades
    path = write_csv(tmp_path / "bare.csv", bare[:40])
    out = run("import_trades", NAMED, path)
    assert "  not proven, and marked by an id of the form imported:…: 40 trades without an id" in out
    assert Tick.objects.filter(trade_id__startswith="imported:").count() == 40 and not IdRange.objects.exists()
    assert "60 rows, 20 new, 40 stored already" in run(
        "import_trades", NAMED, write_ndjson(tmp_path / "all.ndjson", bare)
    )
    others = [row | {"price": f"{Decimal(row['price']):.2f}", "amount": f"{row['amount']}00"} for row in bare]
    assert "60 rows, 60 stored already" in run(  # the same numbers, written otherwise
        "import_trades", NAMED, write_ndjson(tmp_path / "others.ndjson", others)
    )
    with pytest.raises(CommandError, match=r"there is no column of ids .* counts its trades"):
        run("import_trades", COUNTED, path)


def test_trades_without_ids_do_not_count_a_second_time_beside_those_with(trades: list[Row], tmp_path: Path) -> None:
    feed(NAMED, trades[:10], counted=False)
    before = state()
    bare = [{name: value for name, value in row.items() if name != "trade_id"} for row in trades]
    with pytest.raises(CommandError, match="its trades have no ids, and others with ids are stored of the same time"):
        run("import_trades", NAMED, write_csv(tmp_path / "bare.csv", bare))
    assert state() == before

    Tick.objects.all().delete()
    run("import_trades", NAMED, write_csv(tmp_path / "bare.csv", bare))
    before = state()
    with pytest.raises(CommandError, match="its trades have ids, and others without ids are stored of the same time"):
        run("import_trades", NAMED, write_csv(tmp_path / "named.csv", trades[20:]))
    assert state() == before


@pytest.mark.parametrize(("unit", "divisor"), [("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1), ("iso", 0)])
def test_the_unit_of_times_is_found(trades: list[Row], tmp_path: Path, unit: str, divisor: int) -> None:
    def written(ns: str) -> str:
        exact = Decimal(ns) / divisor if divisor else None
        return datetime.fromtimestamp(int(ns) // 1000 / 10**6, UTC).isoformat() if exact is None else f"{exact:f}"

    rows = [{**row, "time_ns": written(row["time_ns"])} for row in trades]
    run("import_trades", COUNTED, write_csv(tmp_path / "trades.csv", rows))
    stored = Tick.objects.order_by("ts", "trade_id").values_list("ts", flat=True)
    assert [at.timestamp() for at in stored] == [int(row["time_ns"]) // 1000 / 10**6 for row in trades]


def test_columns_are_found_by_their_names_or_named(trades: list[Row], tmp_path: Path) -> None:
    rows = [
        {
            "When": row["time_ns"],
            "ID": row["trade_id"],
            "p": row["price"],
            "Size": row["amount"],
            "m": row["side"] == "sell",
        }
        for row in trades
    ]
    path = write_csv(tmp_path / "trades.csv", rows)
    with pytest.raises(CommandError, match="no column is known to be the time: say --columns time=…; they"):
        run("import_trades", COUNTED, path)
    run("import_trades", COUNTED, path, "--columns", "time=When")
    assert list(Tick.objects.order_by("ts", "trade_id").values_list("side", flat=True)) == [
        SIDES[row["side"]] for row in trades
    ]
    for columns, reason in (
        ("time=Then", "there is no column 'Then'"),
        ("when=When", "--columns: when is none of time, id, first"),
        ("time", "'time' is not FIELD=COLUMN"),
    ):
        with pytest.raises(CommandError, match=reason):
            run("import_trades", COUNTED, path, "--columns", columns)
    twice = write_csv(tmp_path / "twice.csv", [{**row, "size": "1"} for row in trades])
    with pytest.raises(CommandError, match="amount and size could both be the amount: say --columns amount=…"):
        run("import_trades", COUNTED, twice)
    run("import_trades", COUNTED, twice, "--columns", "amount=amount", "--dry-run")


BAD: dict[str, tuple[dict[str, str], str]] = {
    "time": ({"time_ns": "17"}, "'17' is no time between 2000 and 2100 in s, ms, us, ns"),
    "unit": ({"time_ns": "1704412838"}, "its time '1704412838' is in s, those before in ns"),
    "price": ({"price": "0"}, "a price is 0"),
    "amount": ({"amount": "NaN"}, "'NaN' is no possible number"),
    "side": ({"side": "up"}, "'up' is no side: buy or sell"),
    "id": ({"trade_id": "x9"}, "'x9' is no id"),
    "order": ({"trade_id": "900"}, "are not after those of the line before"),
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("kind", WRITERS)
def test_a_bad_row_changes_nothing_and_is_named(trades: list[Row], tmp_path: Path, fault: str, kind: str) -> None:
    spoilt, reason = BAD[fault]
    trades[57] |= spoilt
    if kind == "parquet":
        columns = {name: [row[name] for row in trades] for name in trades[0]}
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "bad.parquet")
    else:
        WRITERS[kind](tmp_path / f"bad.{kind}", trades)
    before = state()
    with pytest.raises(CommandError) as raised:
        run("import_trades", COUNTED, tmp_path / f"bad.{kind}")
    assert str(raised.value).startswith(f"bad.{kind}, line {59 if 'csv' in kind else 58}: ")
    assert reason in str(raised.value)
    assert state() == before


def test_files_that_are_no_tables_are_refused_with_the_reason(trades: list[Row], tmp_path: Path) -> None:
    for name, text, reason in (
        ("a.txt", "x", "its ending is none of .csv, .ndjson, .jsonl, .parquet"),
        ("a.csv", "", "no column is known to be the time"),
        ("a.gz", "x", "its ending is none of"),
        ("a.csv.gz", "time,id", r"a\.csv\.gz: it cannot be read: Not a gzipped file"),
        ("a.ndjson", "[1]\n", "line 1: it is no JSON object"),
        ("b.ndjson", "{", "line 1: it is no JSON"),
        ("a.parquet", "PAR1 not", "it cannot be read"),
        ("c.csv", "time,id,price,amount\n1,2,3\n", "line 2: it has 3 columns, the first line 4"),
        ("d.csv", "time,id,price,amount\n", "there is no row in it"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(CommandError, match=reason):
            run("import_trades", COUNTED, tmp_path / name)
    with pytest.raises(CommandError, match="it cannot be read"):
        run("import_trades", COUNTED, tmp_path / "absent.csv")
    whole = write_parquet(tmp_path / "cut.parquet", trades).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:40] + bytes(60) + whole[100:])
    packed = write_packed(tmp_path / "cut.csv.gz", trades).read_bytes()
    (tmp_path / "cut.csv.gz").write_bytes(packed[:-40])
    for name in ("cut.parquet", "cut.csv.gz"):
        with pytest.raises(CommandError, match=name.replace(".", r"\.")):
            run("import_trades", COUNTED, tmp_path / name)
    assert not Tick.objects.exists()


def test_parquet_without_its_library_names_what_to_install(
    trades: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_parquet(tmp_path / "trades.parquet", trades)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(
        CommandError,
        match=r"needs pyarrow, an extra that is not installed here: pip install -r requirements-arrow\.txt",
    ):
        run("import_trades", COUNTED, path)


def test_trades_that_only_their_aggregate_names_need_its_ids(trades: list[Row], tmp_path: Path) -> None:
    ensure_markets(["binance:BTC-USDT"])
    path = write_csv(tmp_path / "trades.csv", trades)
    with pytest.raises(CommandError, match="the columns first and last, with the ids in it, are needed"):
        run("import_trades", "binance:BTC-USDT", path)
    rows = [{**row, "first": row["trade_id"], "last": row["trade_id"]} for row in trades]
    assert "60 new" in run("import_trades", "binance:BTC-USDT", write_csv(tmp_path / "aggregates.csv", rows))
    assert list(IdRange.objects.values_list("first", "last")) == [(900, 959)]


def test_a_dry_run_writes_nothing_and_what_a_kill_left_is_stored_by_the_next_try(
    trades: list[Row], tmp_path: Path
) -> None:
    path, terminal, before = write_csv(tmp_path / "trades.csv", trades), Terminal(), state()
    assert "60 new" in run("import_trades", COUNTED, path, "--dry-run")
    assert state() == before
    feed(COUNTED, trades[50:])
    assert "50 new, 10 stored already" in run("import_trades", COUNTED, path, to=terminal)
    assert f"[{'#' * 30}] 1 of 1 batches stored" in terminal.getvalue()
    assert state()[2] == [(900, 959)]


def test_a_table_may_begin_with_a_mark_of_its_bytes_order(trades: list[Row], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "trades.csv", trades)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert "60 rows, 60 new" in run("import_trades", COUNTED, path)


def candles() -> Iterator[Row]:
    for minute in (0, 1, 2, 4):
        yield {
            "Date": datetime.fromtimestamp(DAY_MS / 1000 + minute * 60, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "Open": "10.5", "High": "12", "Low": "9", "Close": "11", "Volume": f"{minute}.25",
        }  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_candles_of_a_table_prove_their_buckets(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path / f"candles.{kind}", list(candles()))
    with pytest.raises(CommandError, match=r"its name does not say what it is, .*: say --timeframe"):
        run("import_candles", NAMED, path)
    out = run("import_candles", NAMED, path, "--timeframe", "1m")
    assert "4 rows, 4 new" in out and "proven (candle): 4 of 5 buckets" in out
    stored = list(ProviderCandle.objects.order_by("open_time").values_list("volume", "quote_volume"))
    assert stored == [(Decimal(f"{minute}.25"), None) for minute in (0, 1, 2, 4)]
    assert "4 rows, 4 stored already" in run("import_candles", NAMED, path, "--timeframe", "1m")
    with pytest.raises(CommandError, match=r"line .: it does not begin with a bucket"):
        run("import_candles", NAMED, path, "--timeframe", "1h")
    rows = [*candles()]
    rows[2]["Low"] = "11.5"
    with pytest.raises(CommandError, match="its prices contradict each other"):
        run("import_candles", NAMED, WRITERS[kind](tmp_path / f"bad.{kind}", rows), "--timeframe", "1m")


@pytest.mark.skipif(not REAL.is_dir(), reason="set RECORDINGS to a folder of real recordings")
@pytest.mark.parametrize(
    ("name", "market"), [("kraken-XBTUSDT-trades.csv", "kraken:BTC-USDT"), ("binance-BTCUSDT-trades.csv", NAMED)]
)
def test_candles_of_real_trades_are_those_of_the_feed(
    provider_time: ProviderTime, settings: Any, name: str, market: str
) -> None:
    ensure_markets([market])
    with (REAL / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    settings.TICK_RETENTION_DAYS = 10_000
    provider_time.set(int(rows[-1]["time_ns"]) // 1000 + 3_600_000_000)
    kept = fed(market, rows, market != NAMED)
    out = run("import_trades", market, REAL / name)
    assert (digest(Market.objects.get(symbol=market)), state()[1]) == kept
    assert f"{len(rows):,} rows, {len(rows):,} new" in out
