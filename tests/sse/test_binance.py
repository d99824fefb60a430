"""Binance's streams on a real server, by a WebSocket client that knows nothing of us."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from django.db import transaction
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from datastore.access.api_keys import clear_key_cache
from datastore.ingest.live_write import store_live
from datastore.ingest.market_cache import write_changed
from datastore.models import ApiKey
from datastore.reference.markets import ensure_markets
from datastore.sse import server as sse_server
from datastore.sse.server import StreamServer
from datastore.timeframes.timeframe import TIMEFRAMES
from tests.support.api.keys import saved_key
from tests.support.datastore.counted import dealt
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import NOON, SECOND
from tests.support.polling import until
from tests.support.sse.scenario import MarketScenario, shown
from tests.support.sse.server import streaming

pytestmark = pytest.mark.django_db(transaction=True)
SOON = 60  # seconds; a busy machine


@contextmanager
def opened(settings: Any, path: str, **headers: str) -> Iterator[ClientConnection]:
    address = f"ws://127.0.0.1:{settings.SSE_PORT}/binance/{path}"
    with connect(address, additional_headers=headers, compression=None) as socket:
        yield socket


def next_event(socket: ClientConnection, wanted: Callable[[Any], bool] = bool) -> Any:
    while not wanted(event := json.loads(socket.recv(timeout=SOON))):
        pass
    return event


def ask(socket: ClientConnection, method: str, *params: object) -> Any:
    socket.send(json.dumps({"method": method, "params": params, "id": 7}))
    answer = next_event(socket, lambda event: "id" in event)
    assert answer.pop("id") == 7
    return answer


def name_of(scenario: MarketScenario) -> str:
    return f"{scenario.market.base}{scenario.market.quote}".lower()


def refusal(settings: Any, path: str, **headers: str) -> tuple[int, Any]:
    with pytest.raises(InvalidStatus) as caught, opened(settings, path, **headers):
        pass
    response = caught.value.response
    return response.status_code, json.loads(response.body)


def test_the_newest_candle_comes_first_then_every_change_and_its_close(
    server: StreamServer, scenario: MarketScenario, settings: Any
) -> None:
    def as_shown(kline: Any) -> list[Any]:
        return [kline["t"], *(kline[name] for name in "ohlcvqnx")]

    def newest() -> list[Any]:
        row = shown(scenario.market, "1m")["candles"][-1]
        return [*row[:8], row[9]]

    with opened(settings, f"ws/{name_of(scenario)}@kline_1m") as socket:
        first = next_event(socket)
        assert (first["e"], first["s"], first["k"]["i"]) == ("kline", name_of(scenario).upper(), "1m")
        assert as_shown(first["k"]) == newest()
        scenario.trade(0, 77)
        assert as_shown(next_event(socket, lambda event: event["k"]["c"] == "77")["k"]) == newest()
        opened_at = newest()[0]
        scenario.pass_(70)
        scenario.prove(0)
        closed = next_event(socket, lambda event: event["k"]["x"])["k"]
        assert (closed["t"], closed["T"], closed["c"]) == (opened_at, opened_at + 59_999, "77")
        scenario.trade(70, 99)  # late, so that the closed minute is corrected
        corrected = next_event(socket, lambda event: event["k"]["t"] == opened_at)["k"]
        (row,) = [row for row in shown(scenario.market, "1m")["candles"] if row[0] == opened_at]
        assert as_shown(corrected) == [*row[:8], True]
        assert "99" in (corrected["h"], corrected["c"])
    until("it follows no longer", lambda: not len(server.hub), SOON)


def test_commands_follow_and_leave_streams_on_an_open_connection(
    server: StreamServer, scenario: MarketScenario, settings: Any
) -> None:
    other = MarketScenario(scenario.clock)
    other.pass_(100)  # to where the first one is
    other.trade(0, 5)
    one, two = f"{name_of(scenario)}@kline_1m", f"{name_of(other)}@kline_5m"
    with opened(settings, "ws/0") as socket:
        assert ask(socket, "SUBSCRIBE", one, two) == {"result": None}
        seen: set[str] = set()
        next_event(socket, lambda event: seen.add(event["s"]) or len(seen) == 2)
        assert seen == {name_of(each).upper() for each in (scenario, other)}
        assert ask(socket, "LIST_SUBSCRIPTIONS") == {"result": [one, two]}
        assert ask(socket, "GET_PROPERTY", "combined") == {"result": False}
        assert ask(socket, "SET_PROPERTY", "combined", True) == {"result": None}
        assert ask(socket, "UNSUBSCRIBE", one) == {"result": None}
        assert ask(socket, "LIST_SUBSCRIPTIONS") == {"result": [two]}
        other.wakes = True
        other.trade(0, 6)
        assert next_event(socket)["stream"] == two
        assert len(server.hub) == 2  # the connection itself, and one stream


def test_the_combined_address_names_the_stream_of_each_event(
    server: StreamServer, scenario: MarketScenario, settings: Any
) -> None:
    name = f"{name_of(scenario)}@kline_1h"
    with opened(settings, f"stream?streams={name}/{name}/{name_of(scenario)}@kline_1d") as socket:
        events = [next_event(socket) for _ in range(2)]
        assert {(event["stream"], event["data"]["k"]["i"]) for event in events} == {
            (name, "1h"),
            (f"{name_of(scenario)}@kline_1d", "1d"),
        }
    until("a stream that was named twice is left", lambda: not len(server.hub), SOON)


def test_what_cannot_be_read_is_answered_and_the_connection_stays(
    server: StreamServer, scenario: MarketScenario, settings: Any
) -> None:
    with opened(settings, "ws") as socket:
        assert ask(socket, "SUBSCRIBE", "btcusd@depth")["error"]["code"] == 2
        assert ask(socket, "SUBSCRIBE", "nonesuch@kline_1m")["error"]["code"] == -1121
        assert "no ids" in ask(socket, "SUBSCRIBE", f"{name_of(scenario)}@trade")["error"]["msg"]
        assert ask(socket, "SUBSCRIBE")["error"]["code"] == 2
        assert ask(socket, "NONSENSE")["error"]["code"] == 2
        assert ask(socket, "GET_PROPERTY", "other")["error"]["code"] == 0
        socket.send("{")
        assert next_event(socket)["error"]["code"] == 3
        assert ask(socket, "LIST_SUBSCRIPTIONS") == {"result": []}


def test_an_address_that_leads_nowhere_is_refused_with_the_reason(
    server: StreamServer, scenario: MarketScenario, settings: Any
) -> None:
    assert refusal(settings, "ws/nonesuch@kline_1m")[1]["code"] == -1121
    status, body = refusal(settings, "ws/btcusd@depth")
    assert (status, body["code"]) == (400, -1121) and "kline_<1m|" in body["msg"]


def test_a_client_that_sends_without_end_is_disconnected(
    server: StreamServer, scenario: MarketScenario, settings: Any
) -> None:
    with opened(settings, "ws") as socket:
        with pytest.raises(ConnectionClosed) as caught:
            for _ in range(100_000):
                socket.send("{}")
                socket.recv(timeout=SOON)
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1008


def test_a_key_comes_by_header_or_address_and_its_end_ends_the_streams(settings: Any, scenario: MarketScenario) -> None:
    settings.REQUIRE_API_KEY = True
    key = saved_key("reader", ApiKey.Scope.READ)
    path = f"ws/{name_of(scenario)}@kline_1m"
    with streaming(settings, renew=0.2):
        assert refusal(settings, path)[0] == 401
        assert refusal(settings, f"{path}?apiKey={key[:-1]}")[1]["code"] == -2015
        with opened(settings, path, **{"X-MBX-APIKEY": key}) as socket:
            assert next_event(socket)["e"] == "kline"
        with opened(settings, f"{path}?apiKey={key}") as socket, opened(settings, f"ws?apiKey={key}") as idle:
            assert next_event(socket)["e"] == "kline"
            ApiKey.objects.get(name="reader").delete()
            clear_key_cache()
            for each in (socket, idle):
                with pytest.raises(ConnectionClosed) as caught:
                    next_event(each, lambda _: False)
                assert caught.value.rcvd is not None and caught.value.rcvd.code == 1001


def test_streams_and_open_connections_have_a_limit(
    settings: Any, scenario: MarketScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse_server, "MAX_CONNECTIONS", 3)
    name = f"{name_of(scenario)}@kline_1m"
    with streaming(settings) as server, opened(settings, "ws") as idle:
        assert refusal(settings, f"ws/{name}/{name_of(scenario)}@kline_1h")[0] == 503
        with opened(settings, f"ws/{name}"):
            status, body = refusal(settings, "ws")
            assert (status, body["code"]) == (503, -1001)
            assert ask(idle, "SUBSCRIBE", name)["error"]["code"] == -1001
        until("there is room again", lambda: len(server.hub) == 1, SOON)
        assert ask(idle, "SUBSCRIBE", name) == {"result": None}


def test_only_pages_that_may_read_open_a_connection(
    server: StreamServer, scenario: MarketScenario, settings: Any
) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://charts.example.org"]
    path = f"ws/{name_of(scenario)}@kline_1m"
    for origin in ("https://charts.example.org", f"http://127.0.0.1:{settings.PORT}"):
        with opened(settings, path, Origin=origin) as socket:
            assert next_event(socket)
    for origin in ("https://evil.example.org", "http://127.0.0.1:3", "null"):
        assert refusal(settings, path, Origin=origin)[0] == 403
    settings.ALLOWED_HOSTS = ["candles.example.org"]
    assert refusal(settings, path)[0] == 400


def test_a_rate_limit_counts_connections(server: StreamServer, scenario: MarketScenario, settings: Any) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 20
    for _ in range(60):
        try:
            with opened(settings, "ws"):
                pass
        except InvalidStatus as exc:
            assert exc.response.status_code == 429
            return
    raise AssertionError("nothing was refused")


def test_the_end_of_the_process_ends_the_connections(settings: Any, scenario: MarketScenario) -> None:
    with streaming(settings), opened(settings, f"ws/{name_of(scenario)}@kline_1m") as socket:
        next_event(socket)
        ended = socket
    with pytest.raises(ConnectionClosed):
        ended.recv(timeout=SOON)


def test_a_reader_that_takes_nothing_is_cut_and_comes_back_to_the_newest_state(
    scenario: MarketScenario, settings: Any
) -> None:
    base, quote = scenario.market.base.lower(), scenario.market.quote.lower()
    spelled = (f"{base}{quote}", f"{base}-{quote}", f"coinbase:{base}-{quote}", f"coinbase:{base}{quote}")
    names = [f"{symbol}@kline_{timeframe}" for symbol in spelled for timeframe in TIMEFRAMES]
    prices = count(100)

    def traded() -> bool:
        scenario.trade(0, next(prices))
        return not len(server.hub)

    with streaming(settings, stuck=1, heartbeat=1) as server, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.connect(("127.0.0.1", settings.SSE_PORT))
        address = f"ws://127.0.0.1:{settings.SSE_PORT}/binance/stream?streams={'/'.join(names)}"
        with connect(address, sock=slow, compression=None, max_queue=1, close_timeout=1):
            until("it is cut, however much it would still have to read", traded, SOON)

        opened_at, *numbers = shown(scenario.market, "1m")["candles"][-1]
        with opened(settings, f"ws/{names[0]}") as again:
            kline = next_event(again)["k"]
            assert (kline["t"], [kline[name] for name in "ohlcvqn"]) == (opened_at, numbers[:7])
            assert kline["c"] == str(next(prices) - 1)


def test_trades_come_one_by_one_where_the_venue_counts_them_and_candles_name_their_ids(
    server: StreamServer, provider_time: ProviderTime, settings: Any
) -> None:
    settings.PROVIDERS = ["coinbase"]
    provider_time.set(NOON + 100 * SECOND)
    (market,) = ensure_markets(["coinbase:CNT-USD"])

    def trade(*ids: int) -> None:
        with transaction.atomic():
            stored = store_live([dealt(id, price=str(100 + id), market=market.symbol) for id in ids])
        write_changed(stored.changes)

    trade(*range(50, 63))
    with opened(settings, "stream?streams=cntusd@trade/cntusd@aggTrade/cntusd@kline_1m") as socket:
        first = next_event(socket)
        assert first["stream"] == "cntusd@kline_1m"
        assert (first["data"]["k"]["f"], first["data"]["k"]["L"]) == (60, 62)
        trade(63, 64)
        events = [next_event(socket) for _ in range(5)]
        single = [event["data"] for event in events if event["stream"] == "cntusd@trade"]
        assert [(each["t"], each["p"], each["m"]) for each in single] == [(63, "163", False), (64, "164", False)]
        whole = [event["data"] for event in events if event["stream"] == "cntusd@aggTrade"]
        assert [(each["a"], each["f"], each["l"]) for each in whole] == [(63, 63, 63), (64, 64, 64)]
        (kline,) = [event["data"]["k"] for event in events if event["stream"] == "cntusd@kline_1m"]
        assert (kline["f"], kline["L"], kline["n"], kline["c"]) == (60, 64, 5, "164")
