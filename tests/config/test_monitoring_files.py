"""The dashboards and alerts of deploy/: they name what there is, and both programs can read them."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import combinations
from typing import Any

import pytest
import yaml
from django.db import connection

from datastore.backfill.gap_repair import scan
from datastore.models import Market
from datastore.reference.markets import ensure_markets, follow
from metering import table
from tests.support.api import rows
from tests.support.config.monitoring_files import ALERTS, DASHBOARDS, DEPLOY, expressions, panels, program, rules
from tests.support.datastore.records import store

SELECTED = re.compile(r"(candlekeep_\w+)(?:\{([^}]*)\})?")
OF_HISTOGRAM = re.compile(r"_(bucket|count|sum)$")


def known() -> dict[str, set[str]]:
    """Return the labels of every series that /metrics may have, by name."""
    found = {gauge.name: set(gauge.labels) for gauge in table.METRICS}
    for metric in table.COUNTED:
        name, labels = next(iter(metric.describe())).name, set(metric._labelnames)
        if metric._type == "counter":
            found[f"{name}_total"] = labels
        else:
            found |= {f"{name}_{part}": labels | {"le"} for part in ("bucket", "count", "sum")}
    return found


def test_every_series_and_label_in_dashboards_and_alerts_is_one_that_exists() -> None:
    series, looked_at = known(), 0
    for expr in expressions():
        for name, selector in SELECTED.findall(expr):
            assert name in series, f"{name} in {expr}"
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert labels <= series[name], f"{labels - series[name]} of {name} in {expr}"
            looked_at += 1
    assert looked_at > 50


def test_whatever_the_operations_page_says_to_alarm_on_has_an_alert() -> None:
    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    alarms = page.partition("## What to alarm on")[2].partition("\n## ")[0]
    conditions = " ".join(line.split("|")[2] for line in alarms.splitlines() if line.count("|") >= 4)
    meant = {OF_HISTOGRAM.sub("", name) for name in re.findall(r"candlekeep_\w+", conditions)}
    alerted = {OF_HISTOGRAM.sub("", name) for rule in rules() for name, _ in SELECTED.findall(rule["expr"])}
    assert meant <= alerted
    for rule in rules():
        assert rule["alert"].startswith("Candlekeep") and rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.slow
def test_promtool_finds_nothing_wrong() -> None:
    promtool = program("promtool")
    subprocess.run([promtool, "check", "config", ALERTS.with_name("prometheus.yml")], check=True, capture_output=True)
    done = subprocess.run([promtool, "check", "rules", ALERTS], check=True, capture_output=True, text=True)
    assert f"{len(rules())} rules found" in done.stdout


def test_dashboards_can_be_laid_out_and_know_their_sources() -> None:
    sources = yaml.safe_load((DEPLOY / "grafana" / "provisioning" / "datasources" / "candlekeep.yml").read_text())
    uids = {source["uid"] for source in sources["datasources"]}
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        shown: list[dict[str, Any]] = board["panels"]
        assert len({panel["id"] for panel in shown}) == len(shown)
        assert {panel["datasource"]["uid"] for panel in shown if panel["type"] != "row"} <= uids
        for one, other in combinations([panel["gridPos"] for panel in shown], 2):
            apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in shown)


@pytest.fixture
def market(db: None) -> Market:
    rows.provider_runs()
    return ensure_markets([rows.SYMBOL])[0]


def test_the_sql_of_the_candles_runs_and_finds_them(market: Market) -> None:
    feed = rows.Feed()
    follow(market)
    store(feed.opened(), feed.trade(1, "100", "2"), feed.trade(61, "101"), feed.closed(90))
    scan()
    low, high = (f"timestamptz '{(rows.BEGAN + minutes * rows.MINUTE).isoformat()}'" for minutes in (-5, 9))
    found = {}
    for panel in panels():
        for target in panel.get("targets", ()):
            if "rawSql" in target:
                sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 between {low} and {high}", target["rawSql"])
                for said, meant in (
                    ("$__timeFrom()", low),
                    ("$__timeTo()", high),
                    ("${market:sqlstring}", f"'{market.symbol}'"),
                    ("${resolution}", "60"),
                ):
                    sql = sql.replace(said, meant)
                assert "$" not in sql
                with connection.cursor() as cursor:
                    cursor.execute(sql)
                    found[panel["title"]] = cursor.fetchall()
    assert [row[1:] for row in found["Candles"]] == [(100, 100, 100, 100, 2), (101, 101, 101, 101, 1)]
    assert [row[2] for row in found["Newest trades"]] == [1.0, 2.0]
    assert "socket lost" in {row[2] for row in found["Known gaps"]}
