"""GET candles and GET trades in the formats of any length: the same values as json, and the certificate with them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow as pa
import pytest
import zstandard
from django.core.signals import request_finished
from django.db import DatabaseError, close_old_connections, connection
from django.test import Client
from django_redis import get_redis_connection
from pyarrow import feather, parquet

import datastore.series
from datastore.api.responses import streamed
from datastore.api.responses.json_response import unpack
from datastore.db.queries import execute
from datastore.models import Coverage, Market
from datastore.reference.markets import ensure_markets
from datastore.series import columnar_format, digits, export
from datastore.series.columnar_use import USED
from datastore.series.row_format import COLUMNS
from datastore.series.written_format import FORMATS
from tests.support.api.rows import BEGAN, SYMBOL, Feed, at, body_of
from tests.support.datastore.records import moment, store

ADDRESS = f"/api/v1/candles?market={SYMBOL}&timeframe=1m"
SPAN = f"&from={at(0) // 1000}&to={at(540) // 1000}"
YEAR_HOURS = 365 * 24
PRICES = ("open", "high", "low", "close", "volume", "quote_volume")
INSERT_YEAR = """
insert into provider_candle (market_id, resolution, open_time, open, high, low, close, volume, quote_volume, version,
       revision)
select %(market)s, %(resolution)s, t, case when n between 3000 and 3050 then p + (n %% 3 - 1) * 5 else p end,
       trim_scale(p + 1.25), trim_scale(p - 2.5),
       trim_scale(case when n between 3040 and 3070 then p + (n %% 2 * 2 - 1) * 3 else p - 0.01 end),
       trim_scale(n / 1e8::numeric),
       case when n %% 13 > 0 then trim_scale(p * n) end, 1, 0
  from generate_series(%(start)s::timestamptz, %(stop)s::timestamptz - interval '1 second',
                       make_interval(secs => %(resolution)s))
       with ordinality g (t, n)
 cross join lateral (select trim_scale(60000 + (n * 37 %% 4001) / 100.0) as p) x
 where n %% 11 > 0
"""


@pytest.fixture
def hole(market: Market) -> Market:
    """Trades in the minutes 0, 1, 3 and 7, proven from 0 to 5 and from 7 to 9 minutes; a gap lies between."""
    feed, other = Feed(), Feed(feed="tick-data/two")
    store(
        feed.opened(),
        feed.trade(1, "100.10", "0.5"),
        feed.trade(30, "99.0", "1"),
        feed.trade(61, "101", "2"),
        feed.trade(200, "102.000", "0.00000001"),
        feed.watermark(300),
        feed.closed(300),
    )
    store(other.opened(420), other.trade(421, "7.5"), other.watermark(540, 420))
    return market


@pytest.fixture
def places() -> Iterator[None]:
    """Every place for long answers is free before and after a test."""
    yield
    taken = [streamed._places.acquire(blocking=False) for _ in range(streamed.MAX_STREAMED)]
    for _ in range(sum(taken)):
        streamed._places.release()
    assert all(taken)


pytestmark = pytest.mark.usefixtures("places")


def answer_of(client: Client, query: str, /, **headers: str) -> Any:
    response: Any = client.get(ADDRESS + SPAN + query, headers=headers)
    assert response.status_code == 200, response.content
    return response


def hang_up(response: Any) -> None:
    """Close an answer as a server does whose client went away; the test's connection stays open."""
    request_finished.disconnect(close_old_connections)
    try:
        response.close()
    finally:
        request_finished.connect(close_old_connections)


def bytes_of(client: Client, query: str, /, **headers: str) -> bytes:
    body: bytes = answer_of(client, query, **headers).getvalue()
    return body


def text_of(cell: Any) -> str:
    """Return a cell of json as it is in csv."""
    return "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)


def rows_of(client: Client, query: str = "") -> list[dict[str, Any]]:
    """Return the rows of json."""
    body = body_of(client, ADDRESS + SPAN + query)
    return [dict(zip(body["columns"], row, strict=True)) for row in body["candles"]]


@pytest.mark.parametrize("fill", ["none", "null", "flat"])
def test_csv_and_ndjson_hold_what_json_holds(client: Client, hole: Market, fill: str) -> None:
    expected = rows_of(client, f"&fill={fill}")
    assert len(expected) == (4 if fill == "none" else 9)
    lines = bytes_of(client, f"&fill={fill}&format=ndjson").splitlines()
    assert [json.loads(line) for line in lines] == expected

    rows = list(csv.DictReader(io.StringIO(bytes_of(client, f"&fill={fill}&format=csv").decode())))
    shown = [
        {
            name: "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)
            for name, cell in row.items()
        }
        for row in expected
    ]
    assert rows == shown


def test_ndjson_has_the_same_digits_as_numbers_on_request(client: Client, hole: Market) -> None:
    line = bytes_of(client, "&format=ndjson&numbers=float").splitlines()[2]
    assert b'"close":102,"volume":0.00000001,"quote_volume":0.00000102,"trades":1,"source":"live"' in line


@pytest.mark.parametrize("fill", ["none", "null"])
def test_ccxt_has_six_numbers_a_row(client: Client, hole: Market, fill: str) -> None:
    rows = json.loads(bytes_of(client, f"&fill={fill}&format=ccxt"), parse_float=Decimal, parse_int=Decimal)
    expected = rows_of(client, f"&fill={fill}")
    six = ("time", "open", "high", "low", "close", "volume")
    assert rows == [[None if row[name] is None else Decimal(row[name]) for name in six] for row in expected]


@pytest.mark.parametrize("timeframe", ["1m", "1M"])
def test_binance_has_twelve_cells_of_its_kinds(client: Client, hole: Market, timeframe: str) -> None:
    address = f"/api/v1/candles?market={SYMBOL}&timeframe={timeframe}&limit=1000"
    rows = json.loads(client.get(f"{address}&format=binance").getvalue())
    expected = body_of(client, address)["candles"]
    assert [[row[0], *row[1:6], row[7], row[8]] for row in rows] == [row[:8] for row in expected]
    assert {(len(row), row[9], row[10], row[11]) for row in rows} == {(12, "0", "0", "0")}
    if timeframe == "1m":
        assert {row[6] - row[0] for row in rows} == {59_999}
    else:
        assert rows[-1][6] - rows[-1][0] in {days * 86_400_000 - 1 for days in (28, 29, 30, 31)}


def test_binance_fills_what_is_not_known_with_zeros(client: Client, hole: Market) -> None:
    row = json.loads(bytes_of(client, "&format=binance&fill=null"))[2]
    assert row[1:6] + row[7:] == ["0", "0", "0", "0", "0", "0", 0, "0", "0", "0"]


def table_of(client: Client, name: str, query: str = "") -> pa.Table:
    body = bytes_of(client, f"&format={name}{query}")
    if name == "arrow":
        return pa.ipc.open_stream(body).read_all()
    return parquet.read_table(io.BytesIO(body)) if name == "parquet" else feather.read_table(io.BytesIO(body))


@pytest.mark.parametrize("name", ["arrow", "parquet"])
@pytest.mark.parametrize("numbers", ["string", "float"])
def test_arrow_and_parquet_hold_exact_decimals_or_floats(client: Client, hole: Market, name: str, numbers: str) -> None:
    table, expected = table_of(client, name, f"&fill=null&numbers={numbers}"), rows_of(client, "&fill=null")
    kind: Any = Decimal if numbers == "string" else float
    exact = numbers == "string"
    types = [pa.decimal128(38, 1), pa.decimal128(38, 8), pa.decimal128(38, 9)] if exact else [pa.float64()] * 3
    assert [table.schema.field(column).type for column in ("open", "volume", "quote_volume")] == types
    for found, row in zip(table.to_pylist(), expected, strict=True):
        found["time"] = int(found["time"].timestamp() * 1000)
        assert found == {
            name: kind(cell) if name in PRICES and cell is not None else cell for name, cell in row.items()
        }


def test_every_file_of_a_market_has_the_digits_that_any_of_its_candles_needs(client: Client, hole: Market) -> None:
    def scales(timeframe: str) -> list[int]:
        body: Any = client.get(f"/api/v1/candles?market={SYMBOL}&timeframe={timeframe}&limit=2&format=arrow")
        schema = pa.ipc.open_stream(body.getvalue()).schema
        return [schema.field(name).type.scale for name in PRICES]

    assert scales("1m") == scales("1h") == [1, 1, 1, 1, 8, 9]
    store(Feed(feed="tick-data/three").trade(122, "99.000125", "0.1"))
    assert scales("1m") == scales("1M") == [6, 6, 6, 6, 8, 9]
    assert Decimal("99.000125") in table_of(client, "arrow")["low"].to_pylist()


@pytest.mark.django_db(transaction=True)
def test_another_process_looks_only_at_candles_that_are_newer_than_the_last_look(client: Client, hole: Market) -> None:
    def scale() -> int:
        digits._seen.clear()  # as in a process that has just begun
        return int(table_of(client, "arrow").schema.field("open").type.scale)

    assert scale() == 1
    # A row that was looked at is not looked at again: this one changes without a newer version, as none ever does.
    execute("update candle set low = 99.000125 where resolution = 60 and low = 99")
    body_of(client, f"{ADDRESS}{SPAN}&format=arrow", 422)
    store(Feed(feed="tick-data/three").trade(123, "99.000125", "0.1"))
    assert scale() == 6


def test_feather_is_as_freqtrade_reads_it(client: Client, hole: Market) -> None:
    response = answer_of(client, "&format=feather")
    assert response["Content-Disposition"] == 'attachment; filename="BTC_USD-1m.feather"'
    frame = pandas.read_feather(io.BytesIO(response.getvalue()))
    assert list(frame.columns) == ["date", "open", "high", "low", "close", "volume"]
    assert str(frame["date"].dtype) == "datetime64[ms, UTC]"
    assert {str(frame[name].dtype) for name in frame.columns[1:]} == {"float64"}
    assert frame["close"].tolist() == [float(row["close"]) for row in rows_of(client)]


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_certificate_comes_with_every_format_and_with_its_head(client: Client, hole: Market, name: str) -> None:
    before = body_of(client, ADDRESS + SPAN)["watermark"]
    response = answer_of(client, f"&format={name}")
    shown = {"Candlekeep-Complete": "false", "Candlekeep-Gaps": "1"}
    assert {header: response[header] for header in shown} == shown
    watermark = int(response["Candlekeep-Watermark"])  # moves with the provider's time
    _, version, place = unpack(response["Candlekeep-Cursor"], tuple[str, int, int])
    assert (version, place) == (body_of(client, ADDRESS)["version"], watermark)
    assert before <= watermark
    assert response["Content-Type"] == FORMATS[name].media_type
    link = response["Link"].removeprefix("<").partition(">")[0]
    assert [part["state"] for part in body_of(client, link)["coverage"]] == ["live", "gap", "live"]
    hang_up(response)

    head = client.head(f"{ADDRESS}{SPAN}&format={name}")
    assert (head.status_code, head.getvalue()) == (200, b"")
    assert "Content-Length" not in head.headers
    assert {header: head[header] for header in shown} == shown
    assert {"ETag", "Candlekeep-Cursor", "Candlekeep-Watermark", "Link"} <= set(head.headers)


def test_the_use_of_arrow_parquet_or_feather_is_noted(client: Client, hole: Market) -> None:
    valkey = get_redis_connection("hot")
    for name, noted in [("csv", 0), ("arrow", 1)]:
        valkey.delete(USED)
        assert bytes_of(client, f"&format={name}")
        assert valkey.exists(USED) == noted


@pytest.mark.parametrize("name", ["arrow", "parquet", "feather"])
def test_a_hole_is_in_the_metadata(client: Client, hole: Market, name: str) -> None:
    certificate = json.loads(table_of(client, name).schema.metadata[b"candlekeep"])
    (gap,) = [part for part in certificate["coverage"] if part["state"] == "gap"]
    assert (gap["from"], gap["to"], gap["reason"]) == (at(300) // 1000, at(420) // 1000, "socket lost")
    assert (certificate["market"], certificate["complete"]) == (SYMBOL, False)
    assert certificate["completeness"]["missing"][0]["buckets"] == 2


def test_accept_chooses_where_the_query_does_not(client: Client, hole: Market) -> None:
    for accept, kind in [
        ("text/csv", "text/csv"),
        ("application/x-ndjson;q=0.5, application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("image/png", "application/json"),
    ]:
        response = answer_of(client, "", accept=accept)
        assert response["Content-Type"] == kind
        hang_up(response)
    assert answer_of(client, "&format=json", accept="text/csv")["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", ["csv", "ndjson", "ccxt"])
def test_long_answers_are_compressed_as_they_go(client: Client, hole: Market, name: str) -> None:
    plain = bytes_of(client, f"&format={name}")
    zipped = answer_of(client, f"&format={name}", accept_encoding="gzip")
    assert zipped["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.getvalue()) == plain
    packed = bytes_of(client, f"&format={name}", accept_encoding="zstd")
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == plain
    assert gzip.decompress(bytes_of(client, "&format=arrow", accept_encoding="gzip")).endswith(
        b"\xff\xff\xff\xff\0\0\0\0"
    )
    assert bytes_of(client, "&format=parquet", accept_encoding="gzip").startswith(b"PAR1")


def test_what_the_reader_has_is_not_sent_again(client: Client, hole: Market) -> None:
    tag = client.head(f"{ADDRESS}{SPAN}&format=csv")["ETag"]
    again = client.get(f"{ADDRESS}{SPAN}&format=csv", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert client.head(f"{ADDRESS}{SPAN}&format=ndjson", headers={"If-None-Match": tag}).status_code == 200


def test_a_range_without_data_is_an_answer_without_rows(client: Client, market: Market) -> None:
    Coverage.objects.create(
        market=market, source="provider", resolution=60, start=moment(at(-600)), stop=moment(at(0)), proof="candle"
    )
    quiet = f"{ADDRESS}&from={at(-600) // 1000}&to={at(0) // 1000}&format="
    expected = {"csv": ",".join(COLUMNS).encode() + b"\n", "ndjson": b"", "ccxt": b"[]\n", "binance": b"[]\n"}
    for name, whole in expected.items():
        response: Any = client.get(quiet + name)
        assert (response.status_code, response["Candlekeep-Complete"]) == (200, "true")
        assert response.getvalue() == whole
    response = client.get(quiet + "parquet")
    assert parquet.read_table(io.BytesIO(response.getvalue())).num_rows == 0
    body = body_of(client, f"{ADDRESS}&from=2999-01-01&format=csv", 400)
    assert list(body["errors"]) == ["from"]


def test_without_the_extra_the_answer_says_what_to_install(
    client: Client, hole: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datastore.series.columnar_format", None)
    monkeypatch.delattr(datastore.series, "columnar_format", raising=False)
    (sentence,) = body_of(client, f"{ADDRESS}{SPAN}&format=parquet", 400)["errors"]["format"]
    assert sentence == (
        "'parquet' needs pyarrow, an extra that is not installed here: pip install -r requirements-arrow.txt. "
        "Accepted without it: csv, ndjson, ccxt, binance."
    )
    trades = body_of(client, f"/api/v1/trades?market={SYMBOL}&format=arrow", 400)["errors"]["format"]
    assert "requirements-arrow.txt" in trades[0]
    assert bytes_of(client, "&format=csv")


def test_a_number_that_does_not_fit_is_refused_and_never_rounded(client: Client, market: Market) -> None:
    feed = Feed()
    store(feed.opened(), feed.trade(1, "0.0000000000000000001"), feed.watermark(60))
    body = body_of(client, f"{ADDRESS}{SPAN}&format=parquet", 422)
    assert "18 digits behind the point" in body["detail"]
    assert table_of(client, "parquet", "&numbers=float").to_pylist()[0]["open"] == 1e-19
    trades = body_of(client, f"/api/v1/trades?market={SYMBOL}{SPAN}&format=arrow", 422)
    assert "18 digits behind the point" in trades["detail"]


def test_as_many_long_answers_as_may_be_and_no_more(client: Client, hole: Market) -> None:
    held = [answer_of(client, "&format=csv") for _ in range(streamed.MAX_STREAMED)]
    refused = client.get(f"{ADDRESS}{SPAN}&format=csv")
    assert (refused.status_code, refused["Retry-After"]) == (503, "2")
    assert json.loads(refused.content)["type"] == "urn:candlekeep:problem:busy"
    assert client.head(f"{ADDRESS}{SPAN}&format=csv").status_code == 200
    hang_up(held.pop())
    assert bytes_of(client, "&format=csv")
    for one in held:
        hang_up(one)


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_hangs_up_leaves_no_transaction(
    client: Client, hole: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "FIRST_PART_BUCKETS", 1)
    monkeypatch.setattr(export, "PART_BUCKETS", 1)
    response = answer_of(client, "&format=csv")
    assert next(iter(response)).startswith(b"time,open,")
    assert connection.in_atomic_block
    hang_up(response)
    assert not connection.in_atomic_block


def test_an_answer_that_breaks_off_does_not_look_whole(
    client: Client, hole: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "FIRST_PART_BUCKETS", 2)
    monkeypatch.setattr(export, "PART_BUCKETS", 2)
    response, gone = answer_of(client, "&format=csv"), DatabaseError("gone")

    def breaks(*_: object) -> Any:
        raise gone

    monkeypatch.setattr(export, "rows_of", breaks)
    monkeypatch.setattr(export, "stretch_texts", breaks)
    body = response.getvalue().decode()
    assert body.endswith(streamed.BROKEN_OFF.decode())
    with pytest.raises(csv.Error):
        list(csv.reader(io.StringIO(body), strict=True))
    with pytest.raises(pandas.errors.ParserError):
        pandas.read_csv(io.StringIO(body))


def make_year(resolution: int) -> Coverage:
    """Store a year of the provider's: some quiet, some without quote volume, some with prices out of range."""
    (found,) = ensure_markets(["coinbase:ETH-USD"])
    stop = BEGAN.replace(hour=0, minute=0) - timedelta(days=2)
    span = {"start": stop - timedelta(hours=YEAR_HOURS), "stop": stop}
    execute(INSERT_YEAR, {"market": found.pk, "resolution": resolution, **span})
    return Coverage.objects.create(market=found, source="provider", resolution=resolution, proof="candle", **span)


def all_pages(client: Client, page: str) -> list[list[Any]]:
    """Return the rows of json of a range, page by page, not held against the OpenAPI: that takes minutes."""
    rows: list[list[Any]] = []
    while page:
        body = json.loads(client.get(page).content)
        rows += body["candles"]
        page = body["next"]
    return rows


def rows_of_file(file: Path) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """Yield the name of each library that reads Parquet, and the rows that it finds."""
    yield "polars", polars.read_parquet(file).select(polars.col("time").dt.epoch("ms"), *PRICES).rows()
    yield "duckdb", duckdb.read_parquet(str(file)).select(f"epoch_ms(time), {', '.join(PRICES)}").fetchall()
    frame = pandas.read_parquet(file, columns=["time", *PRICES])
    yield "pandas", [(row.time.value // 1_000_000, *row[1:]) for row in frame.itertuples(index=False)]


def check_files(client: Client, address: str, expected: list[list[Any]], folder: Path) -> None:
    """Read the range in Parquet and Arrow by everything that people read them with: it holds these rows of json."""
    values = [(row[0], *(None if cell is None else Decimal(cell) for cell in row[1:7])) for row in expected]
    file = folder / "year.parquet"
    response: Any = client.get(f"{address}&format=parquet")
    assert response["Candlekeep-Complete"] == "true"
    file.write_bytes(response.getvalue())
    assert parquet.ParquetFile(file).num_row_groups > 3
    for name, found in rows_of_file(file):
        assert found == values, name
    response = client.get(f"{address}&format=arrow")
    stream = polars.read_ipc_stream(response.getvalue()).select(polars.col("time").dt.epoch("ms"), *PRICES)
    assert stream.rows() == values


@pytest.mark.chaos
@pytest.mark.timeout(1800)  # half a minute, and a gigabyte, on a machine with nothing else to do
@pytest.mark.django_db(transaction=True)  # the server ends one that waits for so many rows to be compared
def test_a_year_of_minutes_is_read_alike_by_polars_pandas_and_duckdb(
    client: Client, market: Market, tmp_path: Path
) -> None:
    cover = make_year(60)
    span = f"&from={cover.start:%Y-%m-%d}&to={cover.stop:%Y-%m-%d}"
    address = f"/api/v1/candles?market={cover.market.symbol}&timeframe=1m{span}"
    expected = all_pages(client, address)
    assert len(expected) == YEAR_HOURS * 60 - YEAR_HOURS * 60 // 11
    check_files(client, address, expected, tmp_path)


def test_a_year_is_read_alike_by_polars_pandas_duckdb_and_as_text(
    client: Client, market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PART_BUCKETS", 2_500)
    monkeypatch.setattr(columnar_format, "ROW_GROUP_ROWS", 1_500)
    cover = make_year(3600)
    span = f"&from={cover.start:%Y-%m-%d}&to={cover.stop:%Y-%m-%d}"
    address = f"/api/v1/candles?market={cover.market.symbol}&timeframe=1h{span}"
    # Short pages are read row by row, long answers many rows at a time.
    expected = all_pages(client, f"{address}&limit=900")
    assert len(expected) == YEAR_HOURS - YEAR_HOURS // 11
    for _, *prices in (row[:5] for row in expected):
        opened, high, low, close = map(Decimal, prices)
        assert low <= min(opened, close) <= max(opened, close) <= high
    for raw in ("", "&raw=1"):
        rows = all_pages(client, f"{address}&limit=10000{raw}")
        assert (rows == expected) is not bool(raw)
        lines: Any = client.get(f"{address}&format=ndjson{raw}")
        assert [[*json.loads(line).values()] for line in lines.getvalue().splitlines()] == rows
        table: Any = client.get(f"{address}&format=csv{raw}")
        cells = csv.reader(io.StringIO(table.getvalue().decode()))
        assert [*cells] == [list(COLUMNS), *([text_of(cell) for cell in row] for row in rows)]
    check_files(client, address, expected, tmp_path)


def test_trades_of_a_range_come_whole_in_every_format(
    client: Client, hole: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datastore.api.views.trades.PART_ROWS", 2)
    address = f"/api/v1/trades?market={SYMBOL}"
    body = body_of(client, f"{address}{SPAN}")
    expected = [dict(zip(body["columns"], row, strict=True)) for row in body["trades"]]
    assert len(expected) == 5
    for query, some in [
        (SPAN, expected),
        ("", expected),
        (f"{SPAN}&limit=3", expected[:3]),
        ("&limit=2", expected[-2:]),
    ]:
        response: Any = client.get(f"{address}{query}&format=ndjson")
        assert [json.loads(line) for line in response.getvalue().splitlines()] == some, query
    response = client.get(address + SPAN, headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(response.getvalue().decode())))
    assert rows == [{name: text_of(cell) for name, cell in row.items()} for row in expected]
    for name in ("arrow", "parquet"):
        body = client.get(f"{address}{SPAN}&format={name}").getvalue()
        table = pa.ipc.open_stream(body).read_all() if name == "arrow" else parquet.read_table(io.BytesIO(body))
        assert json.loads(table.schema.metadata[b"candlekeep"])["market"] == SYMBOL
        assert [
            row | {when: int(row[when].timestamp() * 1000) for when in ("time", "received")}
            for row in table.to_pylist()
        ] == [row | {exact: Decimal(row[exact]) for exact in ("price", "amount")} for row in expected], name
    quiet: Any = client.get(f"{address}&from={at(-600) // 1000}&to={at(-300) // 1000}&format=parquet")
    assert parquet.read_table(io.BytesIO(quiet.getvalue())).num_rows == 0
    refused = body_of(client, f"{address}&format=feather", 400)["errors"]["format"]
    assert refused == ["'feather' is unknown. Accepted: json, csv, ndjson, arrow, parquet."]
