"""Everything that a database says of its markets, as text."""

from __future__ import annotations

import json
from datetime import datetime
from io import StringIO

from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

from datastore.db.queries import fetch_all, fetch_value
from datastore.ingest.live_write import cancel, digest, store_live
from datastore.models import Market
from datastore.series.reader import read_series
from datastore.timeframes.timeframe import TIMEFRAMES
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, moment
from tests.support.timescale.feed import BEGIN, Batch

SERIES = "00000000-0000-0000-0000-00000000000{}"
OF_ITS_TIME = ("server_time", "stream_url")  # fields of an answer that differ with the moment
CANDLES = (
    "select m.symbol, c.resolution, c.open_time, c.open::text, c.high::text, c.low::text, c.close::text,"
    " c.volume::text, c.quote_volume::text, c.trades, c.version, c.revision from candle c"
    " join market m on m.id = c.market_id where c.version > coalesce((%s::jsonb ->> m.symbol)::bigint, -1)"
    " order by m.symbol, c.version, 2, 3"
)
SPANS = (
    "select m.symbol, c.source, c.feed, c.resolution, c.start, c.stop, c.reason, c.version"
    " from coverage c join market m on m.id = c.market_id order by 1, 2, 3, 4, 5"
)
TICKS = (
    "select m.symbol, t.ts, t.trade_id, t.seq, t.side, t.price::text, t.amount::text, t.received_at"
    " from tick t join market m on m.id = t.market_id order by 1, 2, 3"
)
AGGREGATES = (
    "select market, resolution, open_time, open::text, high::text, low::text, close::text, volume::text,"
    " quote_volume::text, trades from aggregate_candle order by 1, 2, 3"
)


def name_series(markets: list[Market]) -> None:
    """Give the markets ids that do not depend on chance, for cursors name them."""
    for n, market in enumerate(markets):
        Market.objects.filter(pk=market.pk).update(series=SERIES.format(n))


def play(batch: Batch, clock: ProviderTime, markets: dict[str, Market]) -> list[str]:
    """Store a batch and take trades back; return what it did and what a reader at the versions before gets."""
    clock.set(batch.now)
    before = versions()
    with transaction.atomic():
        done = store_live(batch.records)
    marks = dict(Market.objects.values_list("symbol", "watermark"))
    told = [
        f"{one.market} {one.version} {one.changed} {one.trades_added} {marks[one.market]}"
        for one in sorted(done.changes, key=lambda one: one.market)
    ]
    told += [f"refused {index} {why.detail}" for index, why in done.refused]
    told += [f"cancelled {one.id} {cancel(markets[one.market], moment(one.ts), one.id)}" for one in batch.cancelled]
    return told + lines(fetch_all(CANDLES, [json.dumps(before)]))


def versions() -> dict[str, int]:
    """Return every market's version."""
    return dict(Market.objects.values_list("symbol", "version"))


def state(clock: ProviderTime, now: int, start: datetime, stop: datetime) -> list[str]:
    """Return candles, spans, trades, digests, and every series with its certificate, as the API gives it too."""
    told = lines(fetch_all(CANDLES, ["{}"])) + lines(fetch_all(SPANS)) + lines(fetch_all(TICKS))
    told += [str(row) for row in Market.objects.order_by("symbol").values_list("symbol", "version", "ticks_from")]
    for market in Market.objects.order_by("symbol"):
        told.append(f"digest {market.symbol} {digest(market)}")
        for frame in TIMEFRAMES:
            clock.set(now)
            read = read_series(market, frame, start, stop)
            told.append(f"{frame} {read.segments} {read.complete} {read.complete_until} {read.version} {read.text}")
            told.append(f"{frame} {answer(market.symbol, frame, start, stop)}")
    return told


def answer(symbol: str, frame: str, start: datetime, stop: datetime) -> str:
    """Return what GET candles says, but for what differs with the moment of asking."""
    cache.clear()
    asked: dict[str, str | int] = {
        "market": symbol,
        "timeframe": frame,
        "from": start.isoformat(),
        "to": stop.isoformat(),
        "wait": 0,
    }
    given = Client().get("/api/v1/candles", asked)
    assert given.status_code == 200, given.content
    return json.dumps({key: value for key, value in given.json().items() if key not in OF_ITS_TIME})


def aggregates() -> list[str]:
    """Return what the aggregates hold."""
    return lines(fetch_all(AGGREGATES))


def closed_candles(ends: dict[int, datetime]) -> list[str]:
    """Return the candles of buckets that open before these ends, as the aggregates should hold them."""
    held = fetch_all(
        "select m.symbol, c.resolution, c.open_time, c.open::text, c.high::text, c.low::text, c.close::text,"
        " c.volume::text, c.quote_volume::text, c.trades from candle c join market m on m.id = c.market_id"
        " where c.trades > 0 order by 1, 2, 3"
    )
    return lines([row for row in held if row[2] < ends[row[1]]])


def lines(rows: list[tuple[object, ...]]) -> list[str]:
    return ["|".join(map(str, row)) for row in rows]


def count(table: str) -> int:
    """Return how many rows one of our tables has."""
    return int(fetch_value(f"select count(*) from {table}"))  # noqa: S608 - a name of the test's own


def verified(*arguments: str) -> tuple[str, bool]:
    """Return what the command prints for all three days, and whether all was well."""
    out = StringIO()
    try:
        call_command("verify", BTC, "--from", str(BEGIN // 1000), *arguments, stdout=out)
    except CommandError as exc:
        return out.getvalue() + str(exc), False
    return out.getvalue(), True
