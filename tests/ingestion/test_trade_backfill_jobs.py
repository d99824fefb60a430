"""Jobs that bring trades back to a time, of each venue's own protocol: killed, put off, cut short, and whole."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import transaction
from django.db.models.functions import Now
from django_redis import get_redis_connection

from datastore.backfill.trade_backfill import missing_parts, request_trades
from datastore.backfill.trade_fill import settle_fills
from datastore.ingest.live_write import store_live
from datastore.models import FetchRequest, IdRange, Market, Tick
from datastore.reference.markets import ensure_markets
from datastore.reference.provider_clock import save_clock, steady_now
from datastore.timeframes.intervals import micros_of, moment
from streaming.records import LastTrade, Trade, decode_all
from tests.support.ingestion.history_bench import Bench, State, fetched, stepped
from tests.support.simulator import running
from tests.support.streaming.memory import MemoryBroker

SYMBOLS = {"coinbase": "coinbase:BTC-USD", "binance": "binance:BTC-USDT", "kraken": "kraken:BTC-USD"}
SIDES = {"buy": 1, "sell": -1}
RATE = 20  # trades a second
each_venue = pytest.mark.parametrize("name", SYMBOLS)


@pytest.fixture
def bench(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Bench]:
    options = ("--markets", ",".join(SYMBOLS.values()), "--rate", str(RATE), "--venues", ",".join(SYMBOLS))
    with running(tmp_path, *options, "--no-limits") as simulator:
        settings.PROVIDERS = list(SYMBOLS)
        settings.PROVIDER_CALLS_PER_SECOND = 50
        for venue in SYMBOLS:
            for setting, value in simulator.venue(venue).settings.items():
                setattr(settings, setting, value)
            save_clock(venue, moment(round(simulator.now() * 1e6)) - steady_now())
        broker = uuid.uuid4().hex
        settings.STREAM_URL = f"memory://{broker}"
        _forget()
        yield Bench(simulator, MemoryBroker.named(broker, django_settings.STREAM_MAXLEN))
        MemoryBroker.forget(broker)
        _forget()


def _forget() -> None:
    valkey = get_redis_connection("default")
    for key in valkey.scan_iter("ck:budget:*"):
        valkey.delete(key)


class Followed:
    """A market whose newest trades are stored, and the consumer of its topic."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench, self.symbol = bench, SYMBOLS[name]
        (self.market,) = ensure_markets([self.symbol])
        assert self.market.provider == name
        self.now = int(bench.simulator.now()) * 1_000_000
        bench.broker.admin().create_topic("tick-data", 1)
        self._reader = bench.broker.subscribe(uuid.uuid4().hex, ["tick-data"])
        newest = [self.trade(row, place) for place, row in enumerate(self.truth(self.now - 5_000_000, self.now), 1)]
        with transaction.atomic():
            store_live(newest)

    def truth(self, start: int, stop: int) -> list[Any]:
        path = f"/control/trades?market={self.symbol}&from={start * 1000}&to={stop * 1000}"
        return list(self.bench.simulator.get(path)["trades"])

    def trade(self, row: list[Any], n: int) -> Trade:
        id, first, last, ns, price, amount, side = row
        ts = ns // 1000
        return Trade(
            market=self.symbol, feed="tick-data/live", n=n, ts=ts, seq=id, id=str(id), price=Decimal(price),
            amount=Decimal(amount), side=SIDES[side], received_at=ts, first=first, last=last,
        )  # fmt: skip

    def ask(self, minutes: int) -> FetchRequest:
        self.start = (self.now // 60_000_000 - minutes) * 60_000_000
        (request,) = request_trades(self.market, moment(self.start), moment(self.now))
        return request

    def consume(self) -> int:
        """Store what was published, and end what is whole; return how many trades were published."""
        found = decode_all([record.value for record in self._reader.poll(0, 1_000_000)])
        records = [record for record in found if isinstance(record, Trade | LastTrade)]
        assert len(records) == len(found)
        with transaction.atomic():
            stored = store_live(records)
        assert stored.refused == []
        settle_fills(steady_now())
        return sum(isinstance(record, Trade) for record in records)

    def expect_whole(self) -> None:
        """Every trade of the venue's list since the time asked for is stored, and its ids are one range."""
        wanted = [str(row[0]) for row in self.truth(self.start, self.now)]
        stored = Tick.objects.filter(market=self.market, ts__gte=moment(self.start)).order_by("seq")
        assert list(stored.values_list("trade_id", flat=True)) == wanted
        ranges = IdRange.objects.filter(market=self.market)
        assert ranges.count() == 1
        assert micros_of(ranges.get().since) <= self.start or len(wanted) == ranges.get().last - ranges.get().first + 1
        assert missing_parts(self.market, moment(self.start), moment(self.now)) == []


@each_venue
def test_all_that_was_traded_since_a_time_is_brought_with_a_page_a_thousand(bench: Bench, name: str) -> None:
    followed = Followed(bench, name)
    request = followed.ask(3)
    assert fetched(request).state == State.PUBLISHED
    brought = followed.consume()
    request.refresh_from_db()
    assert (request.state, request.error) == (State.DONE, None)
    followed.expect_whole()
    assert request.pages_done == request.pages_total
    assert request.pages_done <= brought // 1000 + 2


@each_venue
def test_a_killed_job_is_gone_on_with_and_nothing_is_left_out(bench: Bench, name: str) -> None:
    followed = Followed(bench, name)
    request = followed.ask(4)
    job = stepped(request, lambda: FetchRequest.objects.filter(pages_done=2).exists())
    job.work.close()  # nothing is given back: as a kill has it
    brought = followed.consume()
    ranges = list(IdRange.objects.filter(market=followed.market).order_by("first"))
    assert len(ranges) == (2 if name == "kraken" else 1), "pages by id leave no hole at any moment"
    FetchRequest.objects.update(lease_until=Now() - timedelta(seconds=1))
    fetched(request)
    brought += followed.consume()
    request.refresh_from_db()
    assert request.state == State.DONE
    followed.expect_whole()
    assert brought < len(followed.truth(followed.start, followed.now)) + 1200, "little is asked for twice"


@each_venue
def test_pages_that_were_lost_on_their_way_are_asked_for_again(bench: Bench, name: str) -> None:
    followed = Followed(bench, name)
    request = followed.ask(3)
    job = stepped(request, lambda: FetchRequest.objects.filter(pages_done=1).exists())
    job.work.close()
    followed._reader.poll(0, 1_000_000)  # lost with the stream
    FetchRequest.objects.update(lease_until=Now() - timedelta(seconds=1))
    fetched(request)
    followed.consume()
    FetchRequest.objects.update(next_try=None)
    while fetched(request).state != State.DONE:
        followed.consume()
        FetchRequest.objects.filter(state=State.QUEUED).update(next_try=None)
    followed.expect_whole()


def test_more_urgent_requests_go_first(bench: Bench) -> None:
    followed = Followed(bench, "coinbase")
    request = followed.ask(3)
    urgent = FetchRequest.objects.create(
        market=followed.market, resolution=60, start=moment(0), stop=moment(60_000_000), purpose=0
    )
    fetched(request)
    assert (request.state, request.error, request.pages_done) == (State.QUEUED, "more urgent requests go first", 0)
    urgent.delete()
    assert fetched(request).state == State.PUBLISHED


def test_what_has_become_too_old_on_the_way_is_left_out(bench: Bench, settings: Any) -> None:
    followed = Followed(bench, "coinbase")
    request = followed.ask(6)
    kept = followed.now - 120_000_000
    Market.objects.update(ticks_from=moment(kept))
    fetched(request)
    followed.consume()
    request.refresh_from_db()
    assert request.state == State.DONE
    oldest = Tick.objects.order_by("ts").first()
    assert oldest is not None and micros_of(oldest.ts) >= kept


def test_a_venue_that_no_longer_has_them_ends_it_with_its_reason(bench: Bench) -> None:
    followed = Followed(bench, "coinbase")
    request = followed.ask(5)
    bench.simulator.fault("venues/coinbase/keep", market=followed.symbol, count=2000)
    fetched(request)
    followed.consume()
    request.refresh_from_db()
    assert (request.state, request.error) == (State.FAILED, "coinbase no longer has the trades before these")
    assert Tick.objects.filter(market=followed.market).count() > 1000
