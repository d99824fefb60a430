"""Generated trades of many markets at a given density, in the order in which a feed would bring them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal

from streaming.broker import Message
from streaming.records import LiveRecord, Trade, Watermark, encode

SECOND = 1_000_000
START = 1_800_000_000 * SECOND
FEED = "tick-data/benchmark"


def symbols(count: int) -> list[str]:
    """Return the names of this many markets."""
    return [f"coinbase:B{number:02}-USD" for number in range(count)]


def records(markets: list[str], per_minute: int, total: int) -> Iterator[LiveRecord]:
    """Yield `total` trades of all markets together, with a watermark of each market once a second.

    As in a real feed, many trades share a second, prices walk, and sizes are short decimals.
    """
    rng = random.Random(7)
    numbers = dict.fromkeys(markets, 0)
    prices = dict.fromkeys(markets, 100_000)
    step = 60 * SECOND // (per_minute * len(markets))
    proven = START
    for index in range(total):
        now = START + index * step
        if now - proven >= SECOND:
            proven = now
            yield from _watermarks(numbers, now)
        market = markets[index % len(markets)]
        numbers[market] += 1
        prices[market] += rng.randint(-3, 3)
        yield Trade(
            market=market,
            feed=FEED,
            n=numbers[market],
            ts=now - now % SECOND if rng.random() < 0.3 else now,
            seq=index,
            id=str(10_000_000 + index),
            price=Decimal(prices[market]) / 100,
            amount=Decimal(rng.randint(1, 10**7)) / 10**8,
            side=rng.choice((-1, 1)),
            received_at=now,
        )


def _watermarks(numbers: dict[str, int], now: int) -> Iterator[Watermark]:
    for market in numbers:
        numbers[market] += 1
        yield Watermark(market=market, feed=FEED, n=numbers[market], start=START, until=now - 5 * SECOND, seen=now)


def messages(records: list[LiveRecord]) -> list[Message]:
    """Return the records as they are published."""
    return [Message(record.market, encode(record)) for record in records]
