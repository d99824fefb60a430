"""Three days of a feed as it comes, the same for every engine: ties, trades without numbers, late and repeated ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from streaming.records import LiveRecord, Trade
from tests.support.datastore.records import BTC, ETH, MINUTE, NOON, SECOND, opened, trade, watermark

HOUR = 60 * MINUTE
DAY = 24 * HOUR
DAYS = 3
STEPS = 8  # batches a day
BEGIN = NOON - 12 * HOUR  # a midnight
END = BEGIN + DAYS * DAY + 3 * HOUR // 2 + 5 * SECOND  # within an open minute, hour and day
MARKETS = (BTC, ETH)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records to be stored at once, at this provider's time; then these trades are taken back."""

    now: int
    records: list[LiveRecord]
    cancelled: list[Trade]


class Feed:
    """A feed of two markets; of one only some trades are numbered."""

    def __init__(self, seed: int = 11) -> None:
        self.rng = random.Random(seed)
        self.n = dict.fromkeys(MARKETS, 2)
        self.sent: list[Trade] = []

    def batches(self) -> Iterator[Batch]:
        """Yield every batch in order; the first opens the feed."""
        openings = [opened(1, BEGIN, market=market) for market in MARKETS]
        proven = [watermark(2, BEGIN + MINUTE, BEGIN, market=market) for market in MARKETS]
        yield Batch(BEGIN + MINUTE, [*openings, *proven], [])
        length = (END - BEGIN) // (DAYS * STEPS)
        for start in range(BEGIN, END - length + 1, length):
            stop = start + length
            records = [
                self._trade(market, start, stop) for market in MARKETS for _ in range(self.rng.randrange(60, 120))
            ]
            records += self._late(start) + self._repeated()
            marks = [watermark(self._number(market), stop - 5 * SECOND, BEGIN, market=market) for market in MARKETS]
            yield Batch(stop, [*sorted(records, key=lambda one: one.n), *marks], self._cancelled())

    def _number(self, market: str) -> int:
        self.n[market] += 1
        return self.n[market]

    def _trade(self, market: str, start: int, stop: int, received: int | None = None) -> Trade:
        n, rng = self._number(market), self.rng
        # Whole seconds of few minutes: ties are the rule.
        ts = min(start + rng.randrange(0, (stop - start) // SECOND // 40) * 40 * SECOND, stop - SECOND)
        price = Decimal(rng.randrange(1, 10 ** rng.randrange(2, 9))) / 10 ** rng.randrange(0, 8)
        amount = Decimal(rng.randrange(0, 10**9)).scaleb(-8)
        seq = n if market == BTC or rng.random() < 0.5 else None
        made = trade(
            n, ts, str(price), str(amount), market=market, seq=seq, side=rng.choice([-1, 0, 1]), received_at=received
        )
        self.sent.append(made)
        return made

    def _late(self, now: int) -> list[Trade]:
        """Return trades of hours and days before, as far back as the feed goes."""
        if now == BEGIN:
            return []
        return [self._trade(self.rng.choice(MARKETS), BEGIN, now, received=now) for _ in range(3)]

    def _repeated(self) -> list[Trade]:
        """Return trades that were sent before, as another connection would bring them."""
        again = self.rng.sample(self.sent, min(5, len(self.sent)))
        kept = ("ts", "seq", "id", "price", "amount", "side", "received_at", "market")
        return [Trade(feed="tick-data/two", n=1, **{name: getattr(one, name) for name in kept}) for one in again]

    def _cancelled(self) -> list[Trade]:
        return self.rng.sample(self.sent, 2)
