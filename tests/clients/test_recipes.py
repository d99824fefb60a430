"""docs/recipes.md: each of its blocks does what the page says. That of lightweight-charts runs in a browser."""

from __future__ import annotations

import csv
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from django.core.management import call_command
from django.db import connection

from datastore.models import Market
from tests.support.api.rows import BEGAN, MINUTE, SYMBOL
from tests.support.clients.recipes import blocks, headings

pytestmark = pytest.mark.django_db(transaction=True)
TESTS = Path(__file__).parents[1]


def test_every_recipe_is_run_by_a_test() -> None:
    tests = [path.read_text() for path in TESTS.rglob("test_*.py")]
    reading = [text for text in tests if "support.clients.recipes import" in text]
    assert [heading for heading in headings() if not any(f'"{heading}"' in text for text in reading)] == []


def test_those_in_python_print_what_they_promise(
    live_server: Any, whole: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = {}
    for heading in ("pandas", "polars", "DuckDB"):
        made[heading] = names = dict[str, Any]()
        exec(compile(blocks(heading, live_server.url)["python"], heading, "exec"), names)  # noqa: S102 - our own page
        assert "close" in capsys.readouterr().out
    assert made["pandas"]["quarters"]["volume"].sum() == 4.5
    assert made["pandas"]["candles"].certificate.complete
    assert float(made["polars"]["hours"]["volume"].sum()) == 4.5
    hours = duckdb.read_parquet(str(tmp_path / "hours.parquet")).fetchall()
    assert sum(float(hour[5]) for hour in hours) == 4.5


def test_excel_gets_a_file_and_an_answer_of_rows(
    live_server: Any, whole: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks("Excel", live_server.url)
    program, command, *arguments = shlex.split(found[""])
    assert program == "manage.py"
    call_command(command, *arguments)
    with (tmp_path / "btc.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["close"] == "100.25" and (tmp_path / "btc.csv.coverage.json").exists()
    days = int(rows[0]["time"]) / 86_400_000  # A2/86400000, as the formula has it
    assert (datetime.fromtimestamp(days * 86_400, UTC) - BEGAN).total_seconds() == pytest.approx(0, abs=0.01)

    query = found["powerquery"]
    answer = httpx.get(re.findall(r'Web\.Contents\("([^"]+)"\)', query)[0]).json()
    assert all(name in answer for name in re.findall(r"Answer\[(\w+)\]", query))
    assert {len(row) for row in answer["candles"]} == {len(answer["columns"])}
    assert answer["columns"][0] == "time" and answer["candles"][0][4] == 100.25


def test_grafana_s_panel_finds_the_candles(whole: Market) -> None:
    sql = blocks("Grafana", "")["sql"]
    low, high = (f"timestamptz '{(BEGAN + minutes * MINUTE).isoformat()}'" for minutes in (-1, 20))
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 between {low} and {high}", sql)
    assert SYMBOL in sql
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall()
    assert len(rows) == 9 and len(rows[0]) == 6 and rows[0][4] == 100.25
