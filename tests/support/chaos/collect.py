"""Gather the evidence on one market of a running platform."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from simulator.market import Market
from simulator.pairs import Pair
from tests.support.chaos.verify import MINUTE, SECOND, Bar, Evidence, Segment, Span, Trade, read_log, sent_trade
from tests.support.e2e.platform import Platform

TICKS = """
select (extract(epoch from t.ts) * 1000000)::bigint, t.trade_id, t.price, t.amount, t.seq
  from tick t join market m on m.id = t.market_id
 where m.symbol = %s and t.ts >= %s and t.ts < %s
"""
SPANS = """
select (extract(epoch from c.start) * 1000000)::bigint, (extract(epoch from c.stop) * 1000000)::bigint
  from coverage c join market m on m.id = c.market_id
 where m.symbol = %s and c.source = 'live' and c.feed not like 'seq/%%'
"""


def made_by(symbol: str, looked_at: Span, rate: float | None, seed: int = 1) -> list[Trade]:
    """Draw what the simulator made in whole minutes, by its own pure function of seed and minute."""
    pair = Pair.parse(symbol)
    market = Market(pair, seed, rate)
    drawn = (trade for at in range(looked_at.start // MINUTE, looked_at.stop // MINUTE) for trade in market.trades(at))
    return [
        sent_trade(
            {"ts": t.ts, "id": t.id, "ccseq": t.ccseq, "price": t.price_text, "amount": t.amount_text},
        )
        for t in drawn
    ]


def made_of_file(path: Path, home: Path, looked_at: Span) -> list[Trade]:
    """Read what a recording holds for a time, moved as the simulator's home folder says."""
    shift = json.loads((home / "simulator" / "state.json").read_text())["replay"]["shift_minutes"] * MINUTE
    with path.open() as lines:
        trades = [
            Trade(
                int(row["time_ns"]) // 1000 + shift,
                row["trade_id"],
                Decimal(row["price"]),
                Decimal(row["amount"]),
                int(row["trade_id"]),
            )
            for row in csv.DictReader(lines)
        ]
    return [trade for trade in trades if looked_at.start <= trade.ts < looked_at.stop]


def span_since(platform: Platform, symbol: str, start: int) -> Span:
    """Return the whole minutes from start (microseconds) up to the market's watermark."""
    watermark = platform.candles(symbol, limit=1)["watermark"] * 1000
    return Span(start // MINUTE * MINUTE, watermark // MINUTE * MINUTE)


def evidence_on(
    platform: Platform, symbol: str, looked_at: Span, made: Iterable[Trade], speed: float = 1, grace: float = 5
) -> Evidence:
    """Read log, trades, candles, certificate and spans."""
    span: dict[str, Any] = {"from": looked_at.start // 1000, "to": looked_at.stop // 1000}
    answer = platform.candles(symbol, **span)
    assert answer["next"] is None, "more candles than one answer holds"
    log = read_log(platform.sent())
    between = (symbol, _time(looked_at.start), _time(looked_at.stop))
    return Evidence(
        market=symbol,
        looked_at=looked_at,
        made=list(made),
        stored=[Trade(*row) for row in platform.rows(TICKS, *between)],
        candles={row[0] * 1000: _bar(row) for row in answer["candles"] if row[7]},
        segments=[Segment(part["from"] * 1000, part["to"] * 1000, part["state"]) for part in answer["coverage"]],
        live_spans=[Span(*row) for row in platform.rows(SPANS, symbol)],
        log=log,
        grace=round(grace * SECOND),
        slack=round(2 * speed * SECOND),
    )


def _bar(row: list[object]) -> Bar:
    opened, high, low, close, volume, quote_volume = (Decimal(str(value)) for value in row[1:7])
    return Bar(opened, high, low, close, volume, quote_volume, int(str(row[7])))


def _time(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // SECOND, UTC)
