"""Every answer that the OpenAPI document declares, given for real on real rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from coordination.models import Coordinator
from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from datastore.models import (
    Coverage,
    DatastoreRequest,
    DeadLetter,
    FetchRequest,
    GapRepair,
    IdRange,
    Market,
    ProviderCandle,
)
from datastore.reference.markets import ensure_markets
from datastore.requests import endings
from datastore.streams import topics
from streaming.broker_factory import connect
from streaming.refusals import Refusal, RefusalCode
from tests.support.api.declared import check, operations
from tests.support.api.rows import BEGAN, MINUTE, SYMBOL, Feed, at
from tests.support.datastore.records import store
from tests.support.streaming.memory import MemoryBroker

V1 = "/api/v1/"
SERIES = f"market={SYMBOL}&timeframe=1m"
PAST = f"&from={at(-3600) // 1000}&to={at(-1800) // 1000}"  # nobody ever asked for it
BAR_ADDRESSES = ("history", "marks", "timescale_marks")
UNKNOWN = {"market": "coinbase:NONE-SUCH"}


class Asker:
    """Asks with a key that may write, and keeps what was answered: addresses, methods, statuses."""

    def __init__(self, key: str) -> None:
        self.client = Client()
        self.headers = {"X-API-Key": key}
        self.given: set[tuple[str, str, int]] = set()

    def get(self, path: str, status: int = 200, **headers: str) -> Any:
        address = path if path.startswith("/") else V1 + path
        return self._noted(self.client.get(address, headers={**self.headers, **headers}), status)

    def post(self, path: str, body: Any = None, status: int = 200, kind: str = "application/json") -> Any:
        raw = "" if body is None else json.dumps(body)
        return self._noted(self.client.post(V1 + path, raw, kind, headers=self.headers), status)

    def put(self, path: str, status: int = 200) -> Any:
        return self._noted(self.client.put(V1 + path, headers=self.headers), status)

    def delete(self, path: str, status: int = 202) -> Any:
        return self._noted(self.client.delete(V1 + path, headers=self.headers), status)

    def _noted(self, response: Any, status: int) -> Any:
        assert response.status_code == status, response.content
        told = check(response)
        assert told is not None, response.request["PATH_INFO"]
        self.given.add(told)
        return response


@pytest.fixture
def asker(write_key: str) -> Any:
    yield Asker(write_key)
    endings.unanswered.clear()


@pytest.fixture
def series(market: Market) -> Market:
    """Trades and quiet minutes of a feed, a hole that is repaired, provider's candles before; not followed."""
    Market.objects.update(followed=False)
    feed, later = Feed(), Feed(feed="tick-data/two")
    store(feed.opened(), feed.trade(1, "100.10", "0.5", seq=3, side=1), feed.trade(61, "99"))
    store(feed.watermark(180), feed.closed(180, "socket lost"))
    store(later.opened(300), later.trade(310, "98"), later.watermark(360, start=300))
    hole = {"start": BEGAN + 3 * MINUTE, "stop": BEGAN + 5 * MINUTE, "reason": "socket lost", "attempts": 2}
    GapRepair.objects.create(market=market, resolution=60, next_try=timezone.now(), **hole)
    span = {"market": market, "resolution": 60}
    Coverage.objects.create(source="provider", start=BEGAN - 20 * MINUTE, stop=BEGAN, **span)
    price = dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), "7")
    ProviderCandle.objects.create(open_time=BEGAN - 20 * MINUTE, version=1, **span, **price)
    return market


@pytest.fixture
def letter(settings: Any, db: None) -> Any:
    """A record that may be replayed, and a frame that may not."""
    settings.STREAM_URL = "memory://declared"
    connect(settings.STREAM_URL, settings.STREAM_MAXLEN).admin().create_topic("tick-data")
    store_dead_letters(
        [DeadLetterRecord("tick-data", SYMBOL, Refusal(RefusalCode.UNKNOWN_MARKET, "unknown market"), b"{\xff}", "1-0")]
    )
    store_dead_letters([DeadLetterRecord("tick-data", None, Refusal(RefusalCode.UNREADABLE, "no record"), b"<html>")])
    yield DeadLetter.objects.get(market=SYMBOL)
    MemoryBroker.forget("declared")


@pytest.fixture
def errored(db: None) -> str:
    """The address of an actor in Error."""
    DatastoreRequest.objects.create(name="request-1")
    with DatastoreRequest.locked("request-1") as actor:
        actor.request_data()
        actor.start_db_query()
        actor.db_query_failure(reason="the disk is full")
    return "actors/datastorerequest/request-1"


def series_answers(asker: Asker) -> None:
    for more in (
        "",
        "&fill=null",
        "&fill=flat&numbers=float",
        "&limit=1000&closed_only=1",
        f"&from={at(-600) // 1000}",
    ):
        body = json.loads(asker.get(f"candles?{SERIES}{more}").content)
        assert body["candles"]
    tag = asker.get(f"candles?{SERIES}")["ETag"]
    asker.get(f"candles?{SERIES}", 304, **{"If-None-Match": tag})
    tag = asker.get(f"coverage?{SERIES}")["ETag"]
    asker.get(f"coverage?{SERIES}", 304, **{"If-None-Match": tag})
    asker.get(f"coverage?{SERIES}&from={at(-600) // 1000}&limit=5")
    asker.get(f"candles/stream?{SERIES}", 307)
    asker.get("tickers/stream", 307)
    assert json.loads(asker.get(f"trades?market={SYMBOL}&from={at(0) // 1000}&limit=1").content)["next"]
    asker.get("trades?market=kraken:BTC-USD")
    assert json.loads(asker.get(f"tickers?markets={SYMBOL},kraken:BTC-USD").content)["tickers"]


def fetched_answers(asker: Asker) -> None:
    assert json.loads(asker.get(f"candles?{SERIES}{PAST}").content)["request"]["id"] is None
    Coordinator.objects.create(name="coordinator-1", owner="here:1:1", heartbeat_at=Now())
    first = json.loads(asker.get(f"candles?{SERIES}{PAST}&wait=0", 202).content)["request"]
    FetchRequest.objects.update(pages_done=1, pages_total=3, error="503", next_try=timezone.now(), reached=BEGAN)
    asker.get(f"requests/{first['id']}")
    some = f"&from={at(-3600) // 1000}&to={at(-1140) // 1000}"
    assert json.loads(asker.get(f"candles?{SERIES}{some}&wait=0").content)["request"]["fetches"]
    span = {"market": SYMBOL, "timeframe": "1h", "from": "2026-11-01", "to": "2026-11-02"}
    asker.post("backfill", span, 202)
    asker.post("backfill", {**span, "timeframe": "1m", "from": at(-900) // 1000, "to": at(-600) // 1000})
    hole = GapRepair.objects.get()
    asker.post(f"gaps/{hole.pk}/retry", status=202)
    hole.start, hole.stop = BEGAN - 2 * MINUTE, BEGAN - MINUTE  # which the provider has answered for
    hole.save()
    asker.post(f"gaps/{hole.pk}/retry")


def stream_answers(asker: Asker) -> None:
    asked = {"market": SYMBOL, "timeframe": "1m"}
    made = json.loads(asker.post("streams", asked, 202).content)
    topic = topics.create_for(made["id"])
    assert topic is not None
    topics.notify(topic)
    topics.go_live(topic)
    assert json.loads(asker.post("streams", asked).content)["state"] == "live"
    asker.get(f"streams/{made['id']}")
    asker.get(f"streams/{made['id']}/events", 307)
    asker.get("streams")
    asker.put(f"streams/{made['id']}")
    asker.delete(f"streams/{made['id']}")


def other_answers(asker: Asker, letter: DeadLetter, errored: str) -> None:
    asker.post("markets", {"market": SYMBOL}, 201)
    asker.post("markets", {"market": SYMBOL})
    assert json.loads(asker.get("tickers").content)["tickers"]
    asker.get("markets")
    asker.get(f"markets/{SYMBOL}")
    asker.delete(f"markets/{SYMBOL}", 200)
    asker.post("markets", {"market": SYMBOL}, 201)
    asker.get("dead-letters")
    asker.get("dead-letters?limit=1&topic=tick-data")
    asker.post(f"dead-letters/{letter.pk}/replay", status=202)
    asker.get(f"dead-letters/{letter.pk}")
    asker.get("actors")
    asker.get("actors/log")
    asker.get("actors/log?limit=1&event=reset&from=2026-01-01")
    asker.get(errored)
    asker.post(f"{errored}/reset")
    asker.get("")
    asker.get("docs")
    asker.get("schema?format=yaml")
    asker.get("schema", 304, **{"If-None-Match": asker.get("schema")["ETag"]})


def interface_answers(asker: Asker, market: Market) -> None:
    """Ask the addresses of other interfaces, as if the venue of this market counted its trades."""
    bars = f"symbol={SYMBOL}&resolution=1&from={at(-600) // 10**6}&to={at(300) // 10**6}"
    for path in ("config", "time", f"symbols?symbol={SYMBOL}", "search?query=BTC"):
        asker.get(f"/udf/{path}")
    for path in BAR_ADDRESSES:
        asker.get(f"/udf/{path}?{bars}")
    tag = asker.get(f"/udf/history?{bars}")["ETag"]
    asker.get(f"/udf/history?{bars}", 304, **{"If-None-Match": tag})

    IdRange.objects.create(market=market, first=1, last=1, since=BEGAN, until=BEGAN)
    asked = f"symbol={SYMBOL}"
    for path in ("ping", "time", "exchangeInfo", f"klines?{asked}&interval=1m", f"uiKlines?{asked}&interval=1m"):
        asker.get(f"/binance/api/v3/{path}")
    for path in ("ticker/price", "ticker/24hr", "trades", "aggTrades"):
        asker.get(f"/binance/api/v3/{path}?{asked}")


def test_every_answer_is_given_as_it_is_declared(
    asker: Asker, series: Market, letter: DeadLetter, errored: str
) -> None:
    series_answers(asker)
    fetched_answers(asker)
    stream_answers(asker)
    other_answers(asker, letter, errored)
    interface_answers(asker, series)
    good = {
        (*route, int(status))
        for route, operation in operations().items()
        for status in operation["responses"]
        if int(status) < 400
    }
    assert asker.given == good


def stream_problems(asker: Asker, settings: Any) -> None:
    asker.get(f"streams?market={UNKNOWN['market']}", 404)
    asker.post("streams", {**UNKNOWN, "timeframe": "1d"}, 404)
    ended = json.loads(asker.post("streams", {"market": SYMBOL, "timeframe": "1d"}, 202).content)["id"]
    asker.delete(f"streams/{ended}")
    asker.put(f"streams/{ended}", 409)
    asker.get(f"streams/{ended}/events", 409)
    settings.MAX_STREAMS = 0
    asker.post("streams", {"market": SYMBOL, "timeframe": "1d"}, 409)
    asker.get("streams/999", 404)
    asker.get("streams/999/events", 404)
    asker.put("streams/999", 404)
    asker.delete("streams/999", 404)
    asker.post("streams", {}, 415, kind="text/plain")


def test_every_problem_is_given_as_it_is_declared(
    asker: Asker, series: Market, letter: DeadLetter, errored: str, read_key: str, settings: Any
) -> None:
    asker.get(f"candles?{SERIES}&limit=0", 400)
    asker.post("backfill", [1], 400)
    for path in (
        "candles?timeframe=1m&market=",
        "coverage?timeframe=1m&market=",
        "candles/stream?timeframe=1m&market=",
        "trades?market=",
        "tickers?markets=",
    ):
        asker.get(path + UNKNOWN["market"], 404)
    for path in (f"markets/{UNKNOWN['market']}", "requests/999", "dead-letters/999", "actors/producer/nobody"):
        asker.get(path, 404)
    asked = f"symbol={UNKNOWN['market']}&resolution=1&from=1&to=2"
    for path in (f"symbols?{asked.partition('&')[0]}", *(f"{name}?{asked}" for name in BAR_ADDRESSES)):
        asker.get(f"/udf/{path}", 404)
    asker.post("markets", UNKNOWN, 404)
    asker.post("backfill", {**UNKNOWN, "timeframe": "1d", "from": "2026-11-01"}, 404)
    stream_problems(asker, settings)
    asker.delete(f"markets/{UNKNOWN['market']}", 404)
    asker.post("gaps/999/retry", status=404)
    asker.post("dead-letters/999/replay", status=404)
    asker.post("actors/producer/nobody/reset", status=404)
    asker.post(f"{errored}/reset")
    asker.post(f"{errored}/reset", status=409)
    asker.post(f"dead-letters/{DeadLetter.objects.get(market=None).pk}/replay", status=409)
    asker.post("backfill", {}, 415, kind="text/plain")
    asker.post("markets", {}, 415, kind="text/plain")
    (tiny,) = ensure_markets(["coinbase:TINY-USD"])
    feed = Feed(tiny.symbol, "tick-data/tiny")
    store(feed.opened(), feed.trade(1, "0.0000000000000000001"), feed.watermark(60))
    asker.get(f"candles?market={tiny.symbol}&timeframe=1m&wait=0&format=arrow", 422)
    asker.get(f"trades?market={tiny.symbol}&format=arrow", 422)
    MemoryBroker.named("declared", settings.STREAM_MAXLEN).go_away("unplugged")
    asker.post(f"dead-letters/{letter.pk}/replay", status=503)
    settings.FETCH_BUDGET_PER_KEY = 1
    asker.post("backfill", {"market": SYMBOL, "timeframe": "1m", "from": "2026-01-01"}, 429)
    asker.headers = {"X-API-Key": read_key}
    asker.post("backfill", {}, 403)
    asker.headers = {"X-API-Key": "nonsense"}
    asker.get("markets", 401)
    everywhere = {400, 401, 403, 429, 503}  # any operation may give them; one that does is enough
    own = {
        (*route, int(status))
        for route, operation in operations().items()
        for status in operation["responses"]
        if int(status) >= 400 and int(status) not in everywhere
    }
    assert own <= asker.given
    assert everywhere <= {status for _, _, status in asker.given}
