"""What it costs to keep the ids of trades as ranges: the same batches, without ids and with them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

from django.db import transaction
from msgspec.structs import replace

from benchmarks import trades
from benchmarks.ingest import clear_database
from streaming.records import LastTrade, LiveRecord, Trade, Watermark

BATCH = 500
TRADES = 40_000
ROUNDS = 3
OMITTED = 6  # one in so many trades never comes, as a venue's socket was seen to leave out

Variant = Callable[[list[LiveRecord]], Iterator[LiveRecord]]


def uncounted(records: list[LiveRecord]) -> Iterator[LiveRecord]:
    """Yield the records as a provider sends them that does not count: the connection proves."""
    for record in records:
        yield replace(record, first=None, last=None) if isinstance(record, Trade) else record


def counted(records: list[LiveRecord]) -> Iterator[LiveRecord]:
    """Yield trades with ids, and what the venue says of its newest trade wherever the feed would claim."""
    newest: dict[str, int] = {}
    for record in records:
        if isinstance(record, Trade):
            newest[record.market] = record.last or 0
            yield record
        elif isinstance(record, Watermark):
            last = newest.get(record.market, 0)
            yield LastTrade(market=record.market, feed=record.feed, n=record.n, last_id=last, at=record.until)


def with_holes(records: list[LiveRecord]) -> Iterator[LiveRecord]:
    """Yield the same without one trade in OMITTED: as many ranges as there are holes."""
    return (one for one in counted(records) if not (isinstance(one, Trade) and (one.first or 0) % OMITTED == 0))


def twice(records: list[LiveRecord]) -> Iterator[LiveRecord]:
    """Yield everything twice, by two feeds, as two live Producers bring it: the second a batch later."""
    once = list(counted(records))
    for index in range(0, len(once), BATCH):
        batch = once[index : index + BATCH]
        yield from batch
        yield from (replace(record, feed="tick-data/second") for record in batch)


VARIANTS: dict[str, tuple[str, Variant]] = {
    "without ids": ("cryptocompare", uncounted),
    "with ids": ("kraken", counted),
    "one in six missing": ("kraken", with_holes),
    "by two Producers": ("kraken", twice),
}


def run() -> list[str]:
    """Measure few and many markets."""
    return [line for markets in (1, 20) for line in measure(markets)]


def measure(markets: int) -> list[str]:
    """Measure all variants, interleaved, and return the table's lines for so many markets."""
    records = _numbered(trades.records(trades.symbols(markets), 60_000 // markets, TRADES))
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(ROUNDS):
        for name, (provider, variant) in VARIANTS.items():
            seconds[name].append(_store(list(variant(records)), provider))
    rates = {name: TRADES / statistics.median(found) for name, found in seconds.items()}
    rates["one in six missing"] *= 1 - 1 / OMITTED
    base = rates["without ids"]
    heading = f"batches of {BATCH} records, {markets} markets, {TRADES:,} trades, median of {ROUNDS}"
    return [heading, *(f"  {name:<22}{rate:>10,.0f} trades/s  {rate / base:.2f}" for name, rate in rates.items())]


def _numbered(records: Iterator[LiveRecord]) -> list[LiveRecord]:
    """Return the records with consecutive ids for each market, in the order of time as a venue counts them."""
    counts: dict[str, int] = {}
    found: list[LiveRecord] = []
    for record in records:
        if isinstance(record, Trade):
            number = counts[record.market] = counts.get(record.market, 0) + 1
            record = replace(record, id=str(number), seq=number, first=number, last=number, ts=record.received_at)
        found.append(record)
    return found


def _store(records: list[LiveRecord], provider: str) -> float:
    """Store all records in batches, each in a transaction of its own; return the seconds."""
    from datastore.ingest.live_batch import split_batch
    from datastore.ingest.live_write import store_live
    from datastore.models import Market

    clear_database()
    Market.objects.update(provider=provider)
    batches = [records[index : index + BATCH] for index in range(0, len(records), BATCH)]
    began = time.perf_counter()
    for batch in batches:
        ready = split_batch(batch)
        with transaction.atomic():
            store_live(ready)
    return time.perf_counter() - began
