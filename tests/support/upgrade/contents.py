"""The rows of a dump: at least one of every kind, written by the code that writes it when Candlekeep runs.

The provider's clock is stopped at NOW while it is asked, so that what a database answers does not depend on the day.
Redis and Kafka leave the same rows behind, but for the text of a dead letter's position: there are both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from msgspec.structs import replace

from actor_runtime.configured_broker import configured_broker
from actor_runtime.models import Actor
from actor_runtime.ownership.claims import add_row
from consumers.dead_letters import dead_letter_of
from consumers.models import DynamicTopicConsumer, FixedTopicConsumer
from coordination.models import Coordinator
from datastore.access import api_keys
from datastore.backfill import fetch_queue, gap_repair, quota
from datastore.coverage.feed_progress import note_acknowledged, note_read
from datastore.db.queries import run_script
from datastore.db.sql_files import script
from datastore.dead_letters import DeadLetterRecord, replay, store_dead_letters
from datastore.engines.retention import delete_old_trades
from datastore.ingest.live_write import cancel, digest, store_live
from datastore.models import Candle, DeadLetter, FetchRequest, Market
from datastore.quality import reconciliation
from datastore.reference import pairs
from datastore.reference.markets import ensure_markets, get_or_create_market
from datastore.reference.provider import remember_provider
from datastore.reference.provider_clock import keep_steady_time, save_clock, steady_now
from datastore.streams import lifecycle, topics
from ingestion.models import Producer
from streaming.broker import Record
from streaming.records import LastTrade, LiveRecord
from streaming.refusals import Refusal, RefusalCode
from tests.support.datastore import answers
from tests.support.datastore.records import (
    BTC,
    ETH,
    FEED,
    MINUTE,
    SECOND,
    closed,
    moment,
    opened,
    trade,
    watermark,
)
from tests.support.timescale.feed import BEGIN, DAY, HOUR, Feed

LTC, DOGE, XMR = "coinbase:LTC-USD", "coinbase:DOGE-USD", "kraken:XMR-EUR"
BATCHES = 10  # the opening, and some 27 hours
SOCKET_LOST = BEGIN + 28 * HOUR
BACK = SOCKET_LOST + 10 * MINUTE
NOW = SOCKET_LOST + 30 * MINUTE
OWNER = "host-one:4711:1700000000"
REDIS_POSITION, KAFKA_POSITION = "1700049600000-0", "3:41"  # an entry's id; partition and offset
FRAMES = ("1m", "5m", "1h", "4h", "1d", "1w", "1M")
# Fields of an answer that depend on nothing but the rows.
KEPT = ("complete", "complete_until", "watermark", "version", "cursor", "coverage", "candles")


@contextmanager
def stopped_clock(at: int) -> Iterator[None]:
    """Let the provider's time be this and stay so until the end, or the next stop_clock()."""
    stop_clock(at)
    try:
        yield
    finally:
        run_script(script("functions/provider_time"))


def stop_clock(at: int) -> None:
    """Let the provider's time be this and stay so."""
    body = f"create or replace function provider_now() returns timestamptz language sql stable return instant({at})"
    run_script(body)


@stopped_clock(BEGIN)
def fill() -> None:
    """Write every kind of row, into a database that has none."""
    remember_provider("simulator/dump", True)
    keep_steady_time()
    save_clock(timedelta())
    pairs.save_pair_list([pairs.Listed("Coinbase", base, "USD") for base in ("BTC", "ETH", "LTC", "DOGE")])
    btc, eth = ensure_markets([BTC, ETH])
    follow_live(btc, eth)
    fetch_history(btc, eth)
    count_trades()
    make_streams()
    keep_dead_letters()
    reconcile(btc)
    run_actors()
    key, _ = api_keys.make_key("dashboard", "read", rate=600)
    key.save()
    api_keys.revoke_key(key)
    quota.spend(key.prefix, 100, 3)
    User.objects.create_superuser("admin")
    recorded()  # what is missing is asked for once: these are the Datastore's own rows


def store(*records: LiveRecord) -> None:
    """Store records in one transaction, as the consumer does."""
    with transaction.atomic():
        store_live(records)


def follow_live(btc: Market, eth: Market) -> None:
    """Store a day of trades, lose the socket, come back with a replay; ETH's trades of the first day are deleted."""
    feed = Feed()
    markets = {BTC: btc, ETH: eth}
    for batch in islice(feed.batches(), BATCHES):
        stop_clock(batch.now)
        store(*batch.records)
        for one in batch.cancelled:
            cancel(markets[one.market], moment(one.ts), one.id)
    stop_clock(NOW)
    n = feed.n[BTC]
    store(
        closed(n + 1, SOCKET_LOST - 5 * SECOND, "socket lost", BEGIN),
        opened(n + 2, BACK),
        trade(n + 3, BACK + MINUTE, "27000.5", "0.25", seq=n + 3),
        watermark(n + 4, BACK + 15 * MINUTE, BACK),
    )
    newest = max((one for one in feed.sent if one.market == ETH), key=lambda one: one.ts)
    three: dict[str, Any] = {"feed": "tick-data/three", "market": ETH}
    store(opened(1, BACK, replayed=[newest], **three))
    note_acknowledged(FEED, moment(BACK + 15 * MINUTE), connected=moment(BEGIN), markets=[BTC, ETH])
    note_read("tick-data", steady_now())
    note_acknowledged("tick-data/three", moment(BACK + 16 * MINUTE), connected=moment(BACK), markets=[ETH])
    delete_old_trades(eth, moment(BEGIN + DAY), 0)


def fetch_history(btc: Market, eth: Market) -> None:
    """Ask for what is missing; of the answers one is whole, one is a refusal for good, three are on their way."""
    gap_repair.scan()
    done = ask(btc, 3600, BEGIN - 5 * HOUR, BEGIN, FetchRequest.Purpose.BACKFILL)
    hours: dict[str, Any] = {"resolution": 3600, "request": done}
    candles = [answers.candle(BEGIN - hour * HOUR, str(26_000 + hour), "1.50", **hours) for hour in (5, 4, 2)]
    zeros = (BEGIN - 3 * HOUR, BEGIN - HOUR)
    answers.store(
        *candles, answers.answered(BEGIN - 5 * HOUR, BEGIN, zeros=zeros, candles=3, **hours), answers.done(done)
    )
    days = (BEGIN - 40 * DAY, BEGIN - 30 * DAY)
    failed = ask(btc, 86_400, *days, FetchRequest.Purpose.SCHEDULE)
    answers.store(answers.failed(failed, *days, resolution=86_400))
    fetching = ask(eth, 60, BEGIN - 2 * HOUR, BEGIN - HOUR, FetchRequest.Purpose.READER)
    fetch_queue.note_progress(fetching, "history-2@1", moment(BEGIN - 90 * MINUTE), 1, 2)
    published = ask(eth, 3600, BEGIN - 9 * HOUR, BEGIN - 8 * HOUR, FetchRequest.Purpose.READER)
    fetch_queue.mark_published(published, "history-2@1")
    fetch_queue.enqueue(eth, 86_400, moment(BEGIN - 9 * DAY), moment(BEGIN - 8 * DAY), FetchRequest.Purpose.GAP)


def ask(market: Market, resolution: int, start: int, stop: int, purpose: int) -> int:
    """Ask for a span and begin to fetch it; return the request's id."""
    (request, *_) = fetch_queue.enqueue(market, resolution, moment(start), moment(stop), purpose)
    fetch_queue.start(request.pk, "history-2@1")
    return request.pk


def count_trades() -> None:
    """Store trades of a venue that counts them, of which some are missing, and what it says of its newest."""
    market = get_or_create_market(XMR)
    Market.objects.filter(pk=market.pk).update(provider="kraken")
    where: dict[str, Any] = {"market": XMR, "feed": "tick-data/four"}
    dealt = [
        replace(trade(n, BACK + n * SECOND, f"{150 + n}.5", "2", id=str(n), seq=n, **where), first=n, last=n)
        for n in (1, 2, 3, 7, 8)
    ]
    store(*dealt, LastTrade(n=9, last_id=8, at=BACK + MINUTE, **where))


def make_streams() -> None:
    """Let one stream be live, one be tried again with another topic, and one have ended."""
    ltc, doge = get_or_create_market(LTC), get_or_create_market(DOGE)
    live = topic_of(lifecycle.create(ltc, "1m", by="key dashboard")[0].pk)
    topics.notify(live)
    topics.go_live(live)
    feed = f"{live.name}/one"
    where: dict[str, Any] = {"market": LTC, "feed": feed}
    dealt = [trade(2 + n, BACK + n * MINUTE + SECOND, f"{70 + n}.125", "3", **where) for n in range(5)]
    store(opened(1, BACK, **where), *dealt, watermark(7, BACK + 5 * MINUTE, BACK, **where))
    note_acknowledged(feed, moment(BACK + 5 * MINUTE), connected=moment(BACK))
    given_up = topic_of(lifecycle.create(doge, "5m", by="key dashboard")[0].pk)
    topics.fail(given_up.pk, "the broker does not answer")
    topics.note_deleted(given_up.pk)
    ended, _ = lifecycle.create(ltc, "1h", by="key dashboard")
    lifecycle.end(ended.pk, by="key dashboard")


def topic_of(stream_id: int) -> Any:
    """Make the topic of a stream."""
    topic = topics.create_for(stream_id)
    assert topic is not None
    return topic


def keep_dead_letters() -> None:
    """Keep a record of either broker and a frame of the provider's; publish one again."""
    unknown = Refusal(RefusalCode.UNKNOWN_MARKET, "unknown market coinbase:NONE-USD")
    unreadable = Refusal(RefusalCode.UNREADABLE, "malformed frame")
    for topic, position in (("tick-data", REDIS_POSITION), ("tick-data-2", KAFKA_POSITION)):
        store_dead_letters(
            [dead_letter_of(Record(topic, "coinbase:NONE-USD", b'{"kind": "trade"}', position), unknown)]
        )
    store_dead_letters([DeadLetterRecord("tick-data", None, unreadable, b"\x00\xff{")])
    configured_broker().admin().create_topic("tick-data")
    replay(DeadLetter.objects.get(position=REDIS_POSITION), by="admin")


def reconcile(market: Market) -> None:
    """Hold a minute of the provider's against ours: they differ."""
    one = Decimal(1)
    theirs = {BEGIN + n * MINUTE: reconciliation.CandleValues(one, one, one, one, one, one) for n in range(3)}
    reconciliation.compare(market, moment(BEGIN), moment(BEGIN + 3 * MINUTE), theirs)


def run_actors() -> None:
    """Let each actor have a row, in a state that it was in when the process was killed."""
    at_work(Producer, "live", [lambda actor: actor.fetch_data()])
    at_work(Coordinator, "coordinator", [lambda actor: actor.request_create_topic()])
    failed: Callable[[Any], None] = lambda actor: actor.write_failure(reason="disk full")  # noqa: E731
    at_work(
        FixedTopicConsumer,
        "fixed-tick",
        [lambda actor: actor.message_received(), lambda actor: actor.process_success(), failed],
    )
    at_work(
        DynamicTopicConsumer,
        "dynamic-dump",
        [lambda actor: actor.subscribe_to_topic(), lambda actor: actor.subscribe_success()],
    )


def at_work(model: type[Actor], role: str, events: Sequence[Callable[[Any], None]]) -> None:
    """Make an actor's row and fire these events, each in a transaction."""
    actor = add_row(model, role, OWNER)
    assert actor is not None
    for event in events:
        with model.locked(actor.name, epoch=actor.epoch) as locked:
            event(locked)


@stopped_clock(NOW)
def recorded() -> dict[str, Any]:
    """Return what the API answers of every series, and the digest of each market's candles."""
    cache.clear()
    found: dict[str, Any] = {one.symbol: digest(one) for one in Market.objects.all()}
    for symbol in (BTC, ETH, LTC):
        for frame in FRAMES:
            start, stop = (SOCKET_LOST - HOUR, NOW) if frame in ("1m", "5m") else (BEGIN - 12 * HOUR, NOW)
            found[f"{symbol} {frame}"] = answer(symbol, frame, start, stop)
    return found


def answer(symbol: str, frame: str, start: int, stop: int) -> dict[str, Any]:
    """Return the fields of GET candles that depend on nothing but the rows."""
    asked: dict[str, str | int] = {
        "market": symbol,
        "timeframe": frame,
        "from": start // 1000,
        "to": stop // 1000,
        "wait": 0,
    }
    given = Client(SERVER_NAME="localhost").get("/api/v1/candles", asked)
    assert given.status_code in (200, 202), given.content
    return {name: value for name, value in json.loads(given.content).items() if name in KEPT}


@stopped_clock(NOW)
def store_one_more_trade() -> None:
    """Store a trade of a minute that has none, and look for its candle."""
    at = NOW - MINUTE
    store(trade(1, at, "27001", "1", feed="tick-data/four"))
    assert Candle.objects.get(market__symbol=BTC, resolution=60, open_time=moment(at)).close == 27_001
    assert answer(BTC, "1m", at, NOW)["candles"][0][4] == "27001"
