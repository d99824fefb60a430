"""Live records in few words, for the tests of the datastore."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import transaction

from datastore.ingest.live_write import StoreResult, store_live
from streaming.records import FeedClosed, FeedOpened, LiveRecord, Replayed, Trade, Watermark

SECOND = 1_000_000
MINUTE = 60 * SECOND
NOON = 1_700_049_600 * SECOND  # 2023-11-15 12:00:00 UTC, a Wednesday
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BTC, ETH = "coinbase:BTC-USD", "coinbase:ETH-USD"
FEED = "tick-data/one"


def moment(micros: int) -> datetime:
    """Return the time of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


def micros(time: datetime) -> int:
    """Return microseconds since 1970."""
    return (time - EPOCH) // timedelta(microseconds=1)


def trade(
    n: int,
    ts: int,
    price: str = "100",
    amount: str = "1",
    *,
    market: str = BTC,
    feed: str = FEED,
    id: str | None = None,
    seq: int | None = None,
    side: int = 0,
    received_at: int | None = None,
    number: int | None = None,
) -> Trade:
    """Return a trade whose id is its number unless given; number: the provider's own (CCSEQ)."""
    return Trade(
        market=market,
        feed=feed,
        n=n,
        ts=ts,
        seq=seq if number is None else number,
        numbered=number is not None,
        id=id or f"t{n}",
        price=Decimal(price),
        amount=Decimal(amount),
        side=side,
        received_at=received_at or ts + 1000,
    )


def opened(
    n: int,
    start: int,
    *,
    connected: int | None = None,
    replayed: list[Trade] | None = None,
    feed: str = FEED,
    market: str = BTC,
) -> FeedOpened:
    """Return the opening of a span."""
    again = tuple(Replayed(ts=one.ts, id=one.id, seq=one.seq) for one in replayed or [])
    return FeedOpened(market=market, feed=feed, n=n, connected=connected or start - SECOND, start=start, replayed=again)


def watermark(
    n: int, until: int, start: int = NOON, *, seen: int | None = None, feed: str = FEED, market: str = BTC
) -> Watermark:
    """Return a watermark."""
    return Watermark(market=market, feed=feed, n=n, start=start, until=until, seen=seen)


def closed(
    n: int,
    stop: int | None,
    reason: str = "socket lost",
    start: int = NOON,
    *,
    certain: int | None = None,
    feed: str = FEED,
    market: str = BTC,
) -> FeedClosed:
    """Return the end of a span."""
    return FeedClosed(market=market, feed=feed, n=n, start=start, stop=stop, reason=reason, certain=certain)


def details(result: StoreResult) -> list[tuple[int, str]]:
    """Return index and reason of each record that was refused."""
    return [(index, refusal.detail) for index, refusal in result.refused]


def store(*records: LiveRecord) -> StoreResult:
    """Store records in one transaction, as a consumer does."""
    with transaction.atomic():
        return store_live(records)
