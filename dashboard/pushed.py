"""The parts of pages that come on their stream: the stream process calls these for all who look (settings.PAGE_PARTS).

Nothing in them depends on who looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.template.loader import render_to_string

from dashboard.alerts import summary
from dashboard.board import SPARK_HEIGHT, SPARK_WIDTH
from dashboard.market_facts import market_facts
from dashboard.views.markets import shown
from datastore.api.params.market_lookup import find_market
from datastore.api.responses.series_body import segment_json
from datastore.series.reader import read_series
from datastore.sse.messages import part_event

COVERED = 500  # buckets, as many as a chart begins with


def markets(symbol: str, timeframe: str) -> Mapping[str, bytes]:
    """Return the card above the markets, and of each market the cells that its ticker does not tell."""
    context = shown()
    found = {"alerts": _alerts(), "summary": part_event("summary", _written("markets_summary", context))}
    for row in context["board"].rows:
        drawn = {"row": row, "spark_width": SPARK_WIDTH, "spark_height": SPARK_HEIGHT}
        cells = _written("markets_cells", drawn)
        market = row.ticker["market"]
        found[market] = part_event("cells", {"market": market, "cells": cells})
    return found


def chart(symbol: str, timeframe: str) -> Mapping[str, bytes]:
    """Return what is beside the chart, and what the newest candles rest on."""
    market = find_market(symbol)
    side = _written("chart_side", market_facts(market))
    series = read_series(market, timeframe, limit=COVERED)
    coverage = {
        "timeframe": timeframe,
        "coverage": [segment_json(segment) for segment in series.segments],
        "corrected": [one._asdict() for one in series.corrected],
    }
    return {"alerts": _alerts(), "side": part_event("side", side), "coverage": part_event("coverage", coverage)}


def _alerts() -> bytes:
    count, worst = summary()
    return part_event("alerts", {"count": count, "worst": worst})


def _written(template: str, context: Mapping[str, Any]) -> str:
    # Stripped, it is plain text: JSON knows no SafeString.
    return render_to_string(f"dashboard/{template}.html", context).strip()
