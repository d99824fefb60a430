"""Candles and trades as tables: every digit, the certificate with them, and what is said where a library is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow
import pytest
from candlekeep_client import Candles, MissingExtra, Trades

START = 1_700_000_040_000
LONG, SMALL = "123456789012345.12345678", "0.00000001"
ROWS = [
    [START, LONG, "3", "1.5", "2.25", "10", "22.5", 7, "live", True, 1],
    [START + 60_000, "2.25", "2.25", "2.25", "2.25", SMALL, None, None, "provider", True, 0],
]
HEAD: dict[str, Any] = {
    "market": "coinbase:BTC-USD",
    "timeframe": "1m",
    "provider": "simulator",
    "simulated": True,
    "server_time": START + 200_000,
    "watermark": START + 120_000,
    "version": 3,
    "cursor": "c",
    "complete": False,
    "complete_until": START + 120_000,
}
HOLE = {"from": START + 120_000, "to": START + 180_000, "state": "gap", "proof": None, "quiet": 0}
REPAIR = {"reason": "too old", "code": "final", "attempts": 2, "next_try": None, "final": True}
COVERAGE = [
    {**HOLE, "from": START, "to": START + 120_000, "state": "merged", "reason": None, "code": None, "repair": None},
    {**HOLE, "reason": "socket lost", "code": "socket", "repair": REPAIR},
]
CANDLES = Candles.of([{**HEAD, "coverage": COVERAGE, "candles": ROWS}])
EMPTY = Candles.of([{**HEAD, "coverage": COVERAGE, "candles": []}])
TRADE = [START, START * 1000 + 7, "x", None, "buy", "50000.123", SMALL, START + 5]
TRADES = Trades([{**HEAD, "cursor": "t", "trades": [TRADE]}])


def test_arrow_keeps_every_digit_and_carries_the_certificate() -> None:
    table = CANDLES.to_arrow()
    assert table.schema.field("open").type == pyarrow.decimal128(38, 8)
    assert table["open"].to_pylist() == [Decimal(LONG), Decimal("2.25")]
    assert table["quote_volume"].to_pylist() == [Decimal("22.5"), None] and table["trades"].to_pylist() == [7, None]
    assert table.schema.field("time").type == pyarrow.timestamp("ms", "UTC")
    assert [int(at.timestamp() * 1000) for at in table["time"].to_pylist()] == [START, START + 60_000]
    told = json.loads(table.schema.metadata[b"candlekeep"])
    assert told["coverage"] == COVERAGE and {name: told[name] for name in HEAD} == HEAD
    assert CANDLES.to_arrow(floats=True)["volume"].to_pylist() == [10.0, 1e-8]


def test_numbers_of_more_digits_than_128_bits_hold_stay_exact_or_are_refused() -> None:
    digits = "12345678901234567890123456789012345.123456789"
    (row, *_), wide = ROWS, [START, digits]
    found = Candles.of([{**HEAD, "coverage": COVERAGE, "candles": [[*wide, *row[2:]]]}])
    assert found.to_arrow()["open"].to_pylist() == [Decimal(digits)]
    assert found.to_pandas()["open"].tolist() == [Decimal(digits)]
    with pytest.raises(ValueError, match="open has 44 digits, polars holds 38"):
        found.to_polars()
    assert found.to_polars(floats=True)["open"].to_list() == [float(digits)]


def test_pandas_has_decimals_or_floats_by_time() -> None:
    frame = CANDLES.to_pandas()
    assert frame["open"].tolist() == [Decimal(LONG), Decimal("2.25")]
    assert frame["quote_volume"].tolist() == [Decimal("22.5"), None]
    assert frame.index[0] == pandas.Timestamp(START, unit="ms", tz="UTC") and frame.index.name == "time"
    assert frame["trades"].isna().tolist() == [False, True] and frame["closed"].dtype == bool
    assert frame.attrs["candlekeep"]["coverage"] == COVERAGE
    floats = CANDLES.to_pandas(floats=True)
    assert floats["volume"].dtype == "float64" and floats["volume"].tolist() == [10.0, 1e-8]


def test_polars_has_decimals_or_floats() -> None:
    frame = CANDLES.to_polars()
    assert frame["open"].to_list() == [Decimal(LONG), Decimal("2.25")]
    assert frame["quote_volume"].to_list() == [Decimal("22.5"), None]
    assert frame.schema["open"] == polars.Decimal(38, 8)
    assert frame.schema["time"] == polars.Datetime("ms", "UTC")
    assert CANDLES.to_polars(floats=True)["volume"].to_list() == [10.0, 1e-8]


def test_trades_are_tables_too() -> None:
    micros = pyarrow.timestamp("us", "UTC")
    assert TRADES.to_arrow()["time"].cast(pyarrow.int64()).to_pylist() == [START * 1000 + 7]
    assert TRADES.to_arrow().schema.field("time").type == micros
    assert TRADES.to_polars()["amount"].to_list() == [Decimal(SMALL)]
    frame = TRADES.to_pandas()
    assert frame["price"].tolist() == [Decimal("50000.123")] and frame.index[0].microsecond == 7
    assert frame.attrs["candlekeep"] == {"market": "coinbase:BTC-USD", "provider": "simulator", "simulated": True}


def test_nothing_is_a_table_too() -> None:
    assert EMPTY.rows == []
    assert EMPTY.to_arrow().num_rows == len(EMPTY.to_pandas()) == EMPTY.to_polars().height == 0
    assert EMPTY.to_arrow().schema.names == list(Candles.KINDS)


@pytest.mark.parametrize(
    ("library", "extra", "make"),
    [("pandas", "pandas", "to_pandas"), ("polars", "polars", "to_polars"), ("pyarrow", "arrow", "to_arrow")],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, library: str, extra: str, make: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"{library} is not installed: pip install 'candlekeep-client\[{extra}\]'"):
        getattr(CANDLES, make)()


@pytest.mark.slow
def test_the_package_loads_none_of_them_and_nothing_of_the_platform() -> None:
    code = """
import sys, candlekeep_client
names = {name.partition(".")[0] for name in sys.modules}
print(sorted(names & {"pandas", "polars", "pyarrow", "django", "datastore", "config", "streaming", "msgspec"}))
"""
    where = Path(__file__).resolve().parents[2] / "clients" / "python"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=where, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
