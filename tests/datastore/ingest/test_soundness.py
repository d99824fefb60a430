"""Connections that come, go and lose records, against the list of everything that was ever traded: no trade may lie in
proven time without being stored."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import count, pairwise

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from datastore.ingest.live_write import store_live
from datastore.models import Coverage, Tick
from datastore.reference.markets import ensure_markets
from streaming.records import LiveRecord, Trade
from tests.support.datastore.records import NOON, SECOND, closed, micros, opened, trade, watermark
from tests.support.datastore.reference import holds
from tests.support.examples import examples, rolled_back
from tests.support.ingestion.intake_bench import T0, Feed

GRACE = 5 * SECOND
REPLAYED = 4
numbered = count(1)


@dataclass
class Venue:
    """A market as it really was, and the connections that watched it."""

    rng: random.Random
    market: str
    losses: bool
    trades: list[Trade] = field(default_factory=list)  # in the order in which the provider discovered them
    records: list[LiveRecord] = field(default_factory=list)
    bridged: list[tuple[int, int]] = field(default_factory=list)  # what a replay must have proven

    def trade_for_a_while(self, with_numbers: bool) -> None:
        """Let trades happen; each is discovered before GRACE has passed, so not in the order of time."""
        rng, ts, found = self.rng, NOON, []
        for _ in range(rng.randrange(10, 50)):
            ts += rng.choice([0, 1, SECOND, 4 * SECOND, 9 * SECOND])
            found.append((ts + rng.randrange(GRACE), ts))
        for index, (discovered, ts) in enumerate(sorted(found)):
            seq = index + 1 if with_numbers else None
            self.trades.append(trade(1, ts, market=self.market, id=f"id{index}", seq=seq, received_at=discovered))

    def watch(self, feed: str, up: int, down: int) -> None:
        """Be connected from up to down: a replay, the opening, then live trades and heartbeats."""
        complete = up + self.rng.randrange(1, SECOND)
        start = complete + SECOND
        known = [one for one in self.trades if one.received_at <= complete][-REPLAYED:]
        replay = [self._told(one, feed, complete) for one in known]
        say: list[tuple[int, LiveRecord]] = [(complete, one) for one in replay]
        say.append((complete, opened(1, start, connected=up, replayed=replay, feed=feed, market=self.market)))
        live = [one for one in self.trades if complete < one.received_at < down]
        say += [(one.received_at, self._told(one, feed, one.received_at)) for one in live]
        beats = range(complete, down, 3 * SECOND)
        say += [(at, watermark(1, at - GRACE, start, feed=feed, market=self.market, seen=at)) for at in beats]
        if self.rng.random() < 0.5:
            say.append((down, closed(1, None, start=start, feed=feed, market=self.market)))
        said = [one for _, one in sorted(say, key=lambda pair: pair[0])]
        self._number(said)
        if not self.losses and beats and beats[-1] - GRACE > start:
            brought = [one.received_at for one in self._stored_before(up) if one.id in {again.id for again in known}]
            self.bridged += [(min(brought), start)] if brought else []

    def _told(self, one: Trade, feed: str, at: int) -> Trade:
        return trade(1, one.ts, market=self.market, id=one.id, seq=one.seq, received_at=at, feed=feed)

    def _number(self, said: list[LiveRecord]) -> None:
        for n, record in enumerate(said, 1):
            whole = {name: getattr(record, name) for name in record.__struct_fields__}
            if not (self.losses and self.rng.random() < 0.04):
                self.records.append(type(record)(**{**whole, "n": n}))

    def _stored_before(self, up: int) -> list[Trade]:
        first: dict[str, Trade] = {}
        for one in self.records:
            if isinstance(one, Trade):
                first.setdefault(one.id, one)
        return [one for one in first.values() if one.received_at < up]


@pytest.mark.django_db
@examples(100)
@given(seed=st.integers(0, 2**32), with_numbers=st.booleans(), losses=st.booleans())
@rolled_back
def test_no_trade_lies_in_proven_time_without_being_stored(seed: int, with_numbers: bool, losses: bool) -> None:
    rng = random.Random(seed)
    market = ensure_markets([f"coinbase:V{next(numbered)}-USD"])[0]
    venue = Venue(rng, market.symbol, losses)
    venue.trade_for_a_while(with_numbers)
    edges = sorted(NOON + rng.randrange(200 * SECOND) for _ in range(rng.choice([2, 4, 6])))
    for index in range(0, len(edges), 2):
        venue.watch(f"tick-data/{index}", edges[index], edges[index + 1])
    cuts = sorted({0, len(venue.records), *(rng.randrange(len(venue.records) + 1) for _ in range(4))})
    for low, high in pairwise(cuts):
        with transaction.atomic():
            store_live(venue.records[max(low - rng.randrange(4), 0) : high])

    stored = set(Tick.objects.filter(market=market).values_list("trade_id", flat=True))
    proven = [(micros(row.start), micros(row.stop)) for row in Coverage.objects.filter(market=market)]
    for one in venue.trades:
        if any(low <= one.ts < high for low, high in proven):
            assert one.id in stored
    assert all(holds(proven, low, high) for low, high in venue.bridged)


@pytest.mark.django_db
@examples(60)
@given(seed=st.integers(0, 2**32), lost_share=st.sampled_from([0.05, 0.3]))
@rolled_back
def test_a_number_that_was_lost_in_silence_leaves_no_claim_once_a_later_one_shows_it(
    seed: int, lost_share: float
) -> None:
    rng = random.Random(seed)
    market = ensure_markets(["coinbase:BTC-USD"])[0]
    Tick.objects.filter(market=market).delete()
    Coverage.objects.filter(market=market).delete()
    feed = Feed()
    feed.trade(0.5, CCSEQ=1)  # of the replay: before the first number none can be missed
    feed.complete(1)
    at, seq, lost = 2.0, 1, []
    for _ in range(rng.randrange(5, 40)):
        at += rng.choice([0, 0.2, 1, 7, 40])
        late = rng.choice([0, 0, 0.4, 3.9])  # with what TS cuts off, less than GRACE
        if rng.random() < 0.5:
            feed.heartbeat(at)
        elif rng.random() < 0.1:
            feed.trade(at, P=-1)
        else:
            seq += 1
            if rng.random() < lost_share:
                lost.append(T0 + int(at - late))
            else:
                feed.trade(at, ts=at - late, CCSEQ=seq)
        if rng.random() < 0.5:
            _publish(feed, at)
    feed.trade(at + 1, CCSEQ=seq + 1)
    if rng.random() < 0.5:
        feed.heartbeat(at + 7)
        _publish(feed, at + 7)
    feed.connection.end_spans("socket lost")
    _publish(feed, at + 7)

    proven = [(micros(row.start), micros(row.stop)) for row in Coverage.objects.filter(market=market)]
    assert not [ts for ts in lost if holds(proven, ts * SECOND, ts * SECOND + 1)]


def _publish(feed: Feed, at: float) -> None:
    """Claim, and store what the connection made, as one batch."""
    records = feed.records(at)
    with transaction.atomic():
        store_live(records)
