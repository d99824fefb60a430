"""A checked file of trades -> the trades, their ids and candles: as the live write path stores them.

Before anything is written, every trade is compared with what is stored under its ids, and whatever the import would
leave missing between its trades and the stored ones is known: of a market that is followed, those are fetched.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from django.db import transaction
from django.db.models import Max, Min

from datastore.backfill.trade_fill import kept_since
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.imports.checked_file import BadFile, CheckedFile, Progress
from datastore.imports.rows import MARK, TradeRow
from datastore.ingest import market_cache
from datastore.ingest.id_write import compare_counted
from datastore.ingest.live_batch import TOO_OLD
from datastore.ingest.live_write import store_live
from datastore.models import IdRange, Market, Tick
from datastore.reference.provider_clock import provider_now
from datastore.timeframes.intervals import Interval, micros_of, moment, union
from streaming.records import Micros, Trade
from streaming.topics import TICK_DATA

REFUSAL_MARGIN = timedelta(hours=1)  # an import takes time, in which older trades become too old

Ids = tuple[int, int]  # first and last, both included


@dataclass
class TradeImport:
    """What a checked file brings to a market: how many of its rows are new, or stored already."""

    market: Market
    file: CheckedFile[TradeRow]
    kept: Micros  # what was traded before is refused
    new: int = 0
    stored: int = 0
    marked: int = 0  # without an id of the venue
    news: list[bool] = field(default_factory=list)  # by batch, whether anything in it is new
    ids: list[Ids] = field(default_factory=list)  # those that are stored once it is imported
    refused: Counter[str] = field(default_factory=Counter)  # by reason


def compare_trades(market: Market, file: CheckedFile[TradeRow], progress: Progress) -> TradeImport:
    """Compare a file with what is stored; raise BadFile if a trade is not the one that is stored under its ids."""
    kept = micros_of(kept_since(market, provider_now(market.provider) + REFUSAL_MARGIN))
    found = TradeImport(market, file, kept)
    for place in range(len(file.batches)):
        rows = file.batch(place)
        young = [row for row in rows if row.start >= kept]
        records = _records(market, young, "tick-data/compared", 0, kept)
        stored, unlike = compare_counted(market.pk, records)
        stored += _compare_named(found, young)
        for trade in unlike:
            reason = f"its trade {trade.id} is not the one that is stored under the ids {trade.first} to {trade.last}"
            raise BadFile(file.name, reason)
        found.stored += stored
        found.new += len(young) - stored
        found.marked += sum(row.id.startswith(MARK) for row in young)
        found.refused[TOO_OLD.detail] += len(rows) - len(young)
        found.news.append(stored < len(young))
        ids = ((row.first, row.last) for row in young if row.first is not None and row.last is not None)
        found.ids = _joined([*found.ids, *ids])
        progress(place + 1, len(file.batches))
    found.refused = +found.refused  # without what is 0
    return found


def _compare_named(found: TradeImport, rows: Sequence[TradeRow]) -> int:
    """Return how many trades that the venue does not count are stored already; raise BadFile for what contradicts."""
    named = {(row.start, row.id): row for row in rows if row.first is None}
    if not named:
        return 0
    kinds = {row.id.startswith(MARK) for row in rows}
    there = Tick.objects.filter(market=found.market, ts__gte=moment(rows[0].start), ts__lte=moment(rows[-1].start))
    stored = 0
    for ts, id, price, amount in there.values_list("ts", "trade_id", "price", "amount"):
        row = named.get((micros_of(ts), id))
        if row is not None and (row.price, row.amount) != (price, amount):
            raise BadFile(found.file.name, f"its trade {id} is stored with another price or amount")
        if row is None and (not id.startswith(MARK)) in kinds:
            mine, theirs = ("no ids", "with ids") if True in kinds else ("ids", "without ids")
            raise BadFile(
                found.file.name,
                f"its trades have {mine}, and others {theirs} are stored of the same time ({ts:%Y-%m-%d %H:%M:%S} "
                "UTC): they would count twice",
            )
        stored += row is not None
    return stored


def new_holes(market: Market, ids: Iterable[Ids]) -> list[Ids]:
    """Return what would be missing of a market once these ids are stored, but is not missing now."""
    ends = IdRange.objects.filter(market=market).aggregate(first=Min("first"), last=Max("last"))
    # What is missing between stored ids is so before, too.
    stored = [] if ends["first"] is None else [(ends["first"], ends["last"])]
    return [(before[1] + 1, after[0] - 1) for before, after in pairwise(_joined([*stored, *ids]))]


def store_trades(found: TradeImport, progress: Progress) -> None:
    """Store what is new, the newest batch first, each in a transaction: at no moment is there another hole."""
    feed, number = f"{TICK_DATA.name}/import-{uuid.uuid4().hex[:16]}", 0
    received = micros_of(provider_now(found.market.provider))
    for place in reversed(range(len(found.file.batches))):
        if found.news[place]:
            rows = [row for row in found.file.batch(place) if row.start >= found.kept]
            records = _records(found.market, rows, feed, number, received)
            number += len(records)
            with transaction.atomic():
                result = store_live(records)
            with suppress(market_cache.CacheUnavailable):  # its version is confirmed by the consumers, too
                market_cache.write_changed(result.changes)
            found.refused.update(refusal.detail for _, refusal in result.refused)
        progress(len(found.file.batches) - place, len(found.file.batches))


def proven_trades(found: TradeImport) -> list[Interval]:
    """Return the parts of the file's time that the venue's ids prove."""
    first, last = found.file.first, found.file.last
    if first is None or last is None:
        return []
    values = {"market": found.market.pk, "start": moment(first.start), "stop": moment(last.start)}
    return union((low, high) for low, high in fetch_all(statement("fills", "proven_by_ids"), values))


def _records(market: Market, rows: Iterable[TradeRow], feed: str, number: int, received: Micros) -> list[Trade]:
    """Return the records of these rows, numbered behind `number`."""
    return [
        Trade(
            market=market.symbol,
            feed=feed,
            n=n,
            ts=row.start,
            seq=row.number,
            id=row.id,
            price=row.price,
            amount=row.amount,
            side=row.side,
            received_at=max(received, row.start),
            first=row.first,
            last=row.last,
        )
        for n, row in enumerate(rows, start=number + 1)
    ]


def _joined(ids: Iterable[Ids]) -> list[Ids]:
    """Return ranges of ids, in order, those that touch as one."""
    return [(low, high - 1) for low, high in union((first, last + 1) for first, last in ids)]
