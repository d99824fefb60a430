"""manage.py export: a series as a file, whole or not there, with its certificate beside it."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections
from pyarrow import parquet

from datastore.api.responses.series_body import completeness_json
from datastore.api.responses.series_stream import written_parts
from datastore.db.queries import fetch_value
from datastore.models import GapRepair, Market
from datastore.reference.markets import ensure_markets
from datastore.series import export as reading
from datastore.series.reader import read_series
from datastore.series.row_format import COLUMNS, CSV, Shape
from datastore.series.written_format import FORMATS
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, MINUTE, NOON, SECOND, closed, moment, opened, store, trade, watermark

START, STOP = f"{moment(NOON):%Y-%m-%dT%H:%M}", f"{moment(NOON + 12 * MINUTE):%Y-%m-%dT%H:%M}"
RANGE = (BTC, "--from", START, "--to", STOP)
WHOLE = (BTC, "--from", START, "--to", f"{moment(NOON + 4 * MINUTE):%Y-%m-%dT%H:%M}")


@pytest.fixture
def btc(provider_time: ProviderTime) -> Market:
    """Trades in minutes 1 and 3, proven from 0 to 4 and from 8 to 10; the clock is in minute 10."""
    (market,) = ensure_markets([BTC])
    provider_time.set(NOON + 10 * MINUTE + 5 * SECOND)
    store(
        opened(1, NOON),
        trade(2, NOON + MINUTE, "10.50"),
        trade(3, NOON + 3 * MINUTE, "11"),
        watermark(4, NOON + 4 * MINUTE),
        closed(5, NOON + 4 * MINUTE),
    )
    two: Any = {"feed": "tick-data/two"}
    store(opened(1, NOON + 8 * MINUTE, **two), watermark(2, NOON + 10 * MINUTE, NOON + 8 * MINUTE, **two))
    store(trade(3, NOON + 10 * MINUTE, "12", **two))
    return market


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("export", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def lines_of(export: reading.Export) -> list[bytes]:
    """Return the lines of each part."""
    return [b"".join(part.blocks) for part in export.parts()]


def rows_in(text: str) -> list[list[str]]:
    head, *rows = csv.reader(io.StringIO(text))
    assert head == list(COLUMNS)
    return rows


@pytest.mark.django_db
def test_the_file_holds_the_candles_digit_by_digit(btc: Market, tmp_path: Path) -> None:
    out, err = run(*WHOLE, "--output", str(tmp_path / "x.csv"))
    at = NOON // 1_000_000
    assert (tmp_path / "x.csv").read_bytes().decode() == (
        "time,open,high,low,close,volume,quote_volume,trades,source,closed,revision\n"
        f"{at + 60}000,10.5,10.5,10.5,10.5,1,10.5,1,live,true,0\n"
        f"{at + 180}000,11,11,11,11,1,11,1,live,true,0\n"
    )
    assert out.startswith("coinbase:BTC-USD 1m: 4 of 4 candles are there (100.00 %, 4 min of 4 min).\n")
    assert "coinbase:BTC-USD 1m: 2 candles" in out
    assert err == ""
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.csv", "x.csv.coverage.json"]


@pytest.mark.django_db
def test_the_certificate_lies_beside_it(btc: Market, tmp_path: Path) -> None:
    _, err = run(*RANGE, "--output", str(tmp_path / "x.csv"), "--fill", "null", "--closed-only")
    certificate = json.loads((tmp_path / "x.csv.coverage.json").read_text())
    series = read_series(btc, "1m", moment(NOON), moment(NOON + 12 * MINUTE))
    assert [part["state"] for part in certificate["coverage"]] == [part.state for part in series.segments]
    assert (certificate["complete"], certificate["version"]) == (False, series.version)
    assert certificate["totals"]["gaps"] == 1
    assert (certificate["fill"], certificate["closed_only"]) == ("null", True)
    assert (certificate["from"], certificate["to"]) == (NOON // 1000, NOON // 1000 + 12 * 60_000)
    rows = rows_in((tmp_path / "x.csv").read_text())
    assert certificate["candles"] == len(rows) == 10
    assert {row[9] for row in rows} == {"true"}
    assert certificate["completeness"] == completeness_json(series.completeness)
    assert certificate["completeness"]["proven"] == {"buckets": 6, "days": 0.0, "percent": 54.55}
    assert err == (
        "Not complete. coinbase:BTC-USD 1m: 6 of 11 candles are there (54.55 %, 6 min of 11 min); "
        "1 not known finally yet; 4 missing (36.36 %, 4 min): socket lost.\n"
    )


@pytest.mark.django_db
def test_the_first_line_says_what_will_never_come(btc: Market, tmp_path: Path) -> None:
    GapRepair.objects.create(
        market=btc, resolution=60, start=moment(NOON - 1440 * MINUTE), stop=moment(NOON), reason="too old", final=True
    )
    day = (BTC, "--from", f"{moment(NOON - 1440 * MINUTE):%Y-%m-%dT%H:%M}", "--to", START)
    out, err = run(*day, "--output", "-")
    assert err.startswith(
        "Not complete. coinbase:BTC-USD 1m: 0 of 1,440 candles are there (0.00 %, 0 min of 1 d); "
        "1,440 final, will not come (100.00 %, 1 d): too old.\n"
    )
    assert rows_in(out) == []


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["x.xlsx", "x.XLSX", "x.csv.gz", "x.json"])
def test_an_ending_without_a_format_is_refused_and_nothing_is_written(btc: Market, tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match=r"there is no format for \.\w+\. The file may end in \.csv, \."):
        run(*WHOLE, "--output", str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []
    for known in ("x.CSV", "x", "of.2026/x"):
        (tmp_path / "of.2026").mkdir(exist_ok=True)
        run(*WHOLE, "--output", str(tmp_path / known))


@pytest.mark.django_db
def test_what_is_not_complete_can_be_made_a_failure(btc: Market, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Not complete"):
        run(*RANGE, "--output", str(tmp_path / "x.csv"), "--require-complete")
    assert len(rows_in((tmp_path / "x.csv").read_text())) == 3
    run(*WHOLE, "--output", str(tmp_path / "y.csv"), "--require-complete")


@pytest.mark.django_db
@pytest.mark.parametrize("fill", ["none", "null", "flat"])
@pytest.mark.parametrize("timeframe", ["1m", "5m", "1d", "1M"])
def test_parts_make_the_same_series_as_one_reading(
    btc: Market, monkeypatch: pytest.MonkeyPatch, fill: str, timeframe: str
) -> None:
    bounds = moment(NOON), moment(NOON + 12 * MINUTE)
    whole = read_series(btc, timeframe, *bounds, fill=fill, shape=CSV)
    for size in (1, 2, 7, 100):
        monkeypatch.setattr(reading, "PART_BUCKETS", size)
        monkeypatch.setattr(reading, "FIRST_PART_BUCKETS", size)
        export = reading.Export(reading.Question(btc, timeframe, *bounds, fill=fill))
        assert b"".join(lines_of(export)).decode().removesuffix("\n") == whole.text
        assert export.series.segments == whole.segments
        assert (export.series.count, export.series.complete) == (whole.count, whole.complete)
        assert (export.series.start, export.series.stop) == (whole.start, whole.stop)
        assert export.series.complete_until == whole.complete_until


@pytest.mark.django_db
def test_the_close_before_the_range_is_looked_for_once(btc: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FIRST_PART_BUCKETS", 1)
    monkeypatch.setattr(reading, "PART_BUCKETS", 1)
    asked = []
    monkeypatch.setattr(reading, "close_before", lambda *place: asked.append(place))
    bounds = moment(NOON - MINUTE), moment(NOON + 2 * MINUTE)
    export = reading.Export(reading.Question(btc, "1m", *bounds, fill="flat"))
    assert len(lines_of(export)) == 3
    assert len(asked) == 1


@pytest.mark.django_db(transaction=True)
def test_all_parts_are_of_one_moment(btc: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FIRST_PART_BUCKETS", 1)
    monkeypatch.setattr(reading, "PART_BUCKETS", 1)
    export = reading.Export(reading.Question(btc, "1m", moment(NOON), moment(NOON + 4 * MINUTE)))
    parts = export.parts()
    lines = [*next(parts).blocks]
    reader = connections["default"]
    connections["default"] = other = reader.copy()
    try:
        store(trade(9, NOON + 2 * MINUTE, "13", feed="tick-data/three"))
        version = Market.objects.get(pk=btc.pk).version
    finally:
        other.close()
        connections["default"] = reader
    lines += [line for part in parts for line in part.blocks]
    assert [line.split(b",")[4] for line in lines] == [b"10.5", b"11"]
    assert export.series.version == version - 1
    assert not connection.in_atomic_block
    assert fetch_value("show transaction_isolation") == "read committed"


@pytest.mark.django_db
def test_standard_output_carries_rows_alone(btc: Market, tmp_path: Path) -> None:
    out, err = run(*RANGE, "--output", "-", "--certificate", str(tmp_path / "proof.json"))
    assert len(rows_in(out)) == 3
    assert "1 of 1 pages" in err
    assert "Not complete" in err
    assert json.loads((tmp_path / "proof.json").read_text())["candles"] == 3


@pytest.mark.django_db
def test_a_reader_that_goes_away_ends_the_export(btc: Market) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(CommandError, match="closed before the end"):
        call_command("export", *RANGE, "--output", "-", stdout=Gone(), stderr=io.StringIO())


@pytest.mark.django_db
def test_a_file_is_whole_or_not_there(btc: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x.csv"
    target.write_text("of yesterday")

    def breaks(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reading, "rows_of", breaks)
    monkeypatch.setattr(reading, "stretch_texts", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(*WHOLE, "--output", str(target))
    assert [file.read_text() for file in tmp_path.iterdir()] == ["of yesterday"]
    with pytest.raises(CommandError, match="cannot be written: No such file or directory"):
        run(*WHOLE, "--output", str(tmp_path / "none" / "x.csv"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--format", "xlsx"), "'xlsx' is unknown. Accepted: csv, ndjson, ccxt, binance, arrow, parquet, feather."),
        (("--from", "noon"), "'noon' "),
        (("--from", "2999-01-01"), "'2999-01-01' "),
        (("--to", START), "--from must be before --to."),
    ],
)
def test_bad_arguments_are_told(btc: Market, arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(CommandError) as refused:
        run(*RANGE, "--output", "-", *arguments)
    assert complaint in str(refused.value)


@pytest.mark.django_db
def test_a_span_without_end_ends_with_the_open_candle(btc: Market) -> None:
    rows = rows_in(run(BTC, "--from", START, "--output", "-")[0])
    assert [(row[4], row[9]) for row in rows] == [("10.5", "true"), ("11", "true"), ("12", "false")]
    assert timedelta(milliseconds=int(rows[-1][0]) - NOON // 1000) == timedelta(minutes=10)


@pytest.mark.django_db
@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_is_written_and_its_ending_chooses_it(btc: Market, tmp_path: Path, name: str) -> None:
    form = FORMATS[name]
    target = tmp_path / f"x.{form.suffix}"
    chosen = () if form.suffix != "json" else ("--format", name)
    run(*WHOLE, *chosen, "--output", str(target))
    parts = written_parts(reading.Export(question_of(btc, form.shape(False))), form, False)
    whole = b"".join(block for part in parts for block in part)
    assert target.read_bytes() == whole or form.suffix in (
        "arrow",
        "parquet",
        "feather",
    )  # their certificate has a time
    if form.suffix == "parquet":
        assert json.loads(parquet.read_schema(target).metadata[b"candlekeep"])["market"] == BTC
    with pytest.raises(CommandError, match=rf"ends in \.{form.suffix}, but --format is|there is no format for \.json"):
        other = "csv" if name != "csv" else "ndjson"
        run(*WHOLE, "--format", other, "--output", str(target))


def question_of(market: Market, shape: Shape) -> reading.Question:
    return reading.Question(market, "1m", moment(NOON), moment(NOON + 4 * MINUTE), shape=shape)


@pytest.mark.django_db
def test_months_open_as_one_data_set(btc: Market, tmp_path: Path) -> None:
    last = fetch_value("select max(open_time) from candle where resolution = 60")
    span = (BTC, "--from", f"{moment(NOON) - timedelta(days=40):%Y-%m-%d}", "--to", f"{last:%Y-%m-%dT%H:%M}")
    folder = tmp_path / "btc"
    run(*span, "--partition", "month", "--format", "parquet", "--output", str(folder))
    files = sorted(file.name for file in folder.iterdir() if not file.name.startswith("_"))
    assert len(files) in (2, 3)
    assert files[-1] == f"{last:%Y-%m}.parquet"
    assert {f"_{name}.coverage.json" for name in files} == {one.name for one in folder.iterdir()} - set(files)

    every = str(folder / "*.parquet")
    rows = read_series(btc, "1m", moment(NOON), last).rows
    expected = [(row[0], *(Decimal(price or 0) for price in row[1:5])) for row in rows]
    opened = polars.scan_parquet(every).select(polars.col("time").dt.epoch("ms"), "open", "high", "low", "close")
    assert opened.collect().rows() == expected
    assert duckdb.read_parquet(every).select("epoch_ms(time), open, high, low, close").fetchall() == expected
    frame = pandas.read_parquet(folder)
    assert [(at.value // 1_000_000, *row) for at, *row in frame.iloc[:, :5].itertuples(index=False)] == expected

    ahead = tmp_path / "ahead"
    run(BTC, "--from", START, "--to", "2099-01-01", "--partition", "month", "--output", str(ahead))
    assert {one.name for one in ahead.iterdir()} == {f"{last:%Y-%m}.csv", f"_{last:%Y-%m}.csv.coverage.json"}
    with pytest.raises(CommandError, match="later than now"):
        run(BTC, "--from", "2098-12-01", "--to", "2099-01-01", "--partition", "month", "--output", str(ahead))
    with pytest.raises(CommandError, match="--partition makes a folder"):
        run(*span, "--partition", "month", "--output", "-")
