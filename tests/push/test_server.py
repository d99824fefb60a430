"""Streams from end to end on real servers: the API leads, the stream process serves, readers come and go."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django_redis import get_redis_connection

from datastore.keys import revoke_key
from datastore.models import ApiKey, Market, Stream
from datastore.push import tickets
from datastore.push.channel import SLOW
from datastore.push.cursor import FOREIGN, NOT_OURS
from datastore.push.outbox import MOST_WAITING
from datastore.push.server import StreamServer
from datastore.push.tickets import Age, read_ticket
from tests.api.conftest import saved_key
from tests.datastore.conftest import ProviderTime
from tests.push.book import Book, Reader, Told
from tests.push.serving import Watcher, streaming
from tests.push.test_reading import shown
from tests.push.world import World
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
FRAMES = ("1m", "5m", "1h", "1d", "1M")
SOON = 60  # seconds; a busy machine


@pytest.fixture
def server(settings: Any) -> Iterator[StreamServer]:
    with streaming(settings) as running:
        yield running
    get_redis_connection("default").flushdb()


@pytest.fixture
def world(provider_time: ProviderTime) -> World:
    made = World(provider_time)
    made.wakes = True
    made.pass_(100)
    made.trade(3, 10)
    made.prove(2)
    return made


def ask(url: str, **more: Any) -> httpx.Response:
    return httpx.get(url, timeout=30, **more)


def same(book: Book, world: World, timeframe: str) -> bool:
    """Tell whether a book is what the database holds, and stands where that does."""
    answer = shown(world.market, timeframe)
    expected = {row[0]: row for row in answer["candles"] if row[0] >= book.since}
    return book.rows == expected and book.watermark is not None and answer["watermark"] - book.watermark < 5_000


def has_all(watcher: Watcher, world: World) -> bool:
    return bool(watcher.failures) or same(watcher.book, world, watcher.query["timeframe"])


def settle(world: World, watchers: dict[str, Watcher]) -> None:
    """Wait until every reader has all; where one does not get there, say what he lacks."""
    for name, watcher in watchers.items():
        until(f"the book of {name}", partial(has_all, watcher, world), SOON)
        assert watcher.failures == []


def test_readers_who_lose_the_connection_at_random_have_in_the_end_what_the_database_has(
    live_server: Any, server: StreamServer, world: World
) -> None:
    order = random.Random(7)
    with ExitStack() as following:
        watchers = {
            f"{frame} {number}": following.enter_context(
                Watcher(live_server.url, frame, world.market.symbol, random.Random(number))
            )
            for number, frame in enumerate(FRAMES * 2)
        }
        until("all are there", lambda: all(one.connections for one in watchers.values()), SOON)
        for round_ in range(60):
            for _ in range(order.randrange(4)):
                world.trade(order.choice([0, 0, 1, 5, 400, 4_000]), order.randrange(1, 99))
            world.pass_(order.choice([0, 1, 3, 20]))
            world.prove(2)
            if round_ % 15 == 14:
                world.lose()
                world.answer(60, order.randrange(3), 5, [0, 2], 5)
                world.scan()
        for one in watchers.values():
            one.order = None  # from the next connection on they stay
        settle(world, watchers)
        assert all(one.connections > 2 for one in watchers.values())
        assert len({id(channel) for channel in server.hub._channels.values()}) == len(FRAMES)


def test_the_cursor_of_an_answer_goes_on_in_the_stream_without_hole_or_overlap(
    live_server: Any, server: StreamServer, world: World
) -> None:
    address = f"{live_server.url}/api/v1/candles?market={world.market.symbol}&timeframe=1m&limit=100&wait=0"
    answer = ask(address).json()
    world.trade(0, 55)
    world.trade(1_000, 56)
    with Watcher(live_server.url, "1m", world.market.symbol, cursor=answer["cursor"]) as watcher:
        watcher.book = Book.of_answer(answer)
        watcher.book.cursor = None  # so that the query's counts
        settle(world, {"the reader": watcher})
        told = [event.name for event in watcher.told]
        assert "snapshot" not in told
        assert {event.data[0] for event in watcher.told if event.name == "candle"} <= {
            row[0] for row in shown(world.market, "1m")["candles"]
        }


def test_a_change_is_read_once_for_all_who_follow_the_series(
    live_server: Any, server: StreamServer, world: World
) -> None:
    with ExitStack() as following:
        watchers = [following.enter_context(Watcher(live_server.url, "1m", world.market.symbol)) for _ in range(8)]
        until("all are shown the series", lambda: all(one.book.cursor for one in watchers), SOON)
        before = reads(server)
        world.trade(0, 77)
        settle(world, {str(number): one for number, one in enumerate(watchers)})
        assert all(one.book.cursor == watchers[0].book.cursor for one in watchers)
        assert 0 < reads(server) - before < len(watchers)


def reads(server: StreamServer) -> int:
    return sum(reader.reads for reader in server.hub._readers)


def told_of(watcher: Watcher, state: str) -> list[Any]:
    return [hole for hole in watcher.book.holes if hole["state"] == state]


def test_holes_are_told_as_they_open_and_are_filled(live_server: Any, server: StreamServer, world: World) -> None:
    with Watcher(live_server.url, "1m", world.market.symbol) as watcher:
        until("a snapshot", lambda: watcher.book.cursor, SOON)
        world.lose()
        world.pass_(600)
        world.prove(0)
        world.scan()
        until("the hole", lambda: told_of(watcher, "partial"), SOON)
        world.answer(60, 0, 15, [1], 5)
        world.scan()
        until("its end", lambda: told_of(watcher, "provider"), SOON)
        settle(world, {"the reader": watcher})


@pytest.mark.parametrize(("spoil", "reason"), [("nonsense", NOT_OURS), ("foreign", FOREIGN)])
def test_a_bad_cursor_is_answered_by_a_snapshot_that_says_so(
    live_server: Any, server: StreamServer, world: World, spoil: str, reason: str
) -> None:
    other = World(world.clock)
    cursor = spoil if spoil == "nonsense" else shown(other.market, "1m")["cursor"]
    with Watcher(live_server.url, "1m", world.market.symbol, cursor=cursor, limit="50") as watcher:
        until("a snapshot", lambda: watcher.book.snapshots, SOON)
        assert watcher.book.snapshots == [reason]
        settle(world, {"the reader": watcher})


def test_of_what_a_slow_reader_did_not_take_the_newest_state_of_each_candle_is_kept(
    live_server: Any, settings: Any, world: World
) -> None:
    with streaming(settings, stuck=1_000) as server, connected(live_server.url, world, 4_096) as raw:
        until("he follows", lambda: len(server.hub), SOON)
        (follower,) = server.hub._homes
        for price in range(1, 9):
            world.answer(60, 3, 3_000, list(range(3_000)), price)
            until("it is read", partial(is_read, server.hub), SOON)
        assert follower.sending_since is not None
        assert len(follower.outbox._rows) <= 3_010
        book, told = read_on(raw, lambda book: same(book, world, "1m"))
        assert book.snapshots == [None]
        # Of eight states of each: one lay in the socket's buffer, one was being sent, the newest waited.
        assert sum(event.name == "candle" for event in told) < 3 * 3_000 + 20


def test_a_reader_who_is_too_slow_for_even_that_is_told_so_and_shown_all_anew(
    live_server: Any, settings: Any, world: World
) -> None:
    with streaming(settings, stuck=1_000) as server, connected(live_server.url, world, 4_096) as raw:
        until("he follows", lambda: len(server.hub), SOON)
        (follower,) = server.hub._homes
        for part in range(4):
            world.answer(60, 3 + part * 3_000, 3_000, list(range(3_000)), 7)
            until("it is read", partial(is_read, server.hub), SOON)
            assert len(follower.outbox._rows) + len(follower.outbox._holes) <= MOST_WAITING
        book, _ = read_on(raw, lambda book: len(book.snapshots) == 2 and same(book, world, "1m"))
        assert book.snapshots[1] == SLOW


def read_on(raw: socket.socket, enough: Callable[[Book], bool]) -> tuple[Book, list[Told]]:
    """Read from a bare socket until a book is good; chunks of HTTP fall out, for none begins with a field's name."""
    book, reader, told, text = Book(), Reader(), [], b""
    raw.settimeout(SOON)
    while not enough(book):
        text += raw.recv(1 << 20)
        whole, found, text = text.rpartition(b"\r\n")
        for event in reader.feed(b"".join(line for line in (whole + found).split(b"\r\n") if b":" in line)):
            book.take(event)
            told.append(event)
    return book, told


def is_read(hub: Any) -> bool:
    """Tell whether the only channel is where its market is."""
    (channel,) = hub._channels.values()
    return channel.place is not None and channel.place[0].version == Market.objects.get(pk=channel.market.pk).version


class connected:
    """A reader's bare socket that asks for a stream and takes nothing yet."""

    def __init__(self, base: str, world: World, room: int) -> None:
        led = ask(f"{base}/api/v1/candles/stream?market={world.market.symbol}&timeframe=1m&limit=10")
        self.url, self.room = httpx.URL(led.headers["Location"]), room

    def __enter__(self) -> socket.socket:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.room)
        self.socket.connect((self.url.host, self.url.port))
        self.socket.sendall(b"GET %s HTTP/1.1\r\nHost: here\r\n\r\n" % self.url.raw_path)
        return self.socket

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def test_a_connection_that_takes_nothing_for_long_is_cut(live_server: Any, settings: Any, world: World) -> None:
    with streaming(settings, stuck=2) as server, connected(live_server.url, world, 4_096):
        until("he follows", lambda: len(server.hub), SOON)
        world.answer(60, 3, 5_000, list(range(5_000)), 7)
        until("he is cut", lambda: not len(server.hub), SOON)


def test_a_silent_stream_says_that_it_lives(live_server: Any, settings: Any, world: World) -> None:
    with streaming(settings, heartbeat=1), Watcher(live_server.url, "1M", world.market.symbol) as watcher:
        until("heartbeats", lambda: watcher.heartbeats >= 2, SOON)
        assert watcher.connections == 1


def test_the_end_of_the_process_ends_the_streams_quickly_and_readers_come_again(
    live_server: Any, settings: Any, world: World
) -> None:
    with ExitStack() as following:
        with streaming(settings):
            watcher = following.enter_context(Watcher(live_server.url, "1m", world.market.symbol))
            until("a snapshot", lambda: watcher.book.cursor, SOON)
        world.trade(0, 9)
        with streaming(settings):
            settle(world, {"the reader": watcher})
            assert watcher.book.snapshots == [None]
            watcher.__exit__()
            following.pop_all()


def test_streams_outlive_a_database_that_is_away(live_server: Any, server: StreamServer, world: World) -> None:
    with Watcher(live_server.url, "1m", world.market.symbol) as watcher:
        until("a snapshot", lambda: watcher.book.cursor, SOON)
        with connection.cursor() as cursor:
            cursor.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
                " and datname = current_database()"
            )
        world.trade(0, 12)
        settle(world, {"the reader": watcher})
        assert watcher.connections == 1


def test_without_wake_ups_the_look_finds_what_changed(live_server: Any, settings: Any, world: World) -> None:
    away, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    with streaming(settings), Watcher(live_server.url, "1m", world.market.symbol) as watcher:
        until("a snapshot", lambda: watcher.book.cursor, SOON)
        world.trade(0, 12)
        settle(world, {"the reader": watcher})
        assert watcher.connections == 1
    settings.REDIS_URL = away


# --- tickets, access, pages ---


def led(url: str, world: World, path: str = "candles/stream", **headers: str) -> httpx.Response:
    return ask(f"{url}/api/v1/{path}?market={world.market.symbol}&timeframe=1m", headers=headers)


def head(location: str, **more: Any) -> httpx.Response:
    """Ask for the stream and read only its head."""
    with httpx.stream("GET", location, timeout=30, **more) as answer:
        if answer.status_code != 200:
            answer.read()
        return answer


def test_the_api_leads_with_a_ticket_that_names_series_place_and_key(
    live_server: Any, settings: Any, world: World
) -> None:
    settings.SSE_URL = "https://candles.example.org/live"
    key = saved_key("reader", ApiKey.Scope.READ)
    answer = led(live_server.url, world, **{"Last-Event-ID": "there", "X-API-Key": key})
    assert answer.status_code == 307 and answer.headers["Cache-Control"] == "no-store"
    location = httpx.URL(answer.headers["Location"])
    assert str(location).startswith("https://candles.example.org/live/stream/candles?ticket=")
    ticket, age = read_ticket(location.params["ticket"])
    assert age is Age.FRESH
    assert (ticket.market, ticket.timeframe, ticket.cursor) == (world.market.pk, "1m", "there")
    assert ticket.key == ApiKey.objects.get().prefix and ticket.stream is None


def test_what_cannot_be_followed_is_refused_as_the_api_refuses(live_server: Any, settings: Any, world: World) -> None:
    base = f"{live_server.url}/api/v1/candles/stream"
    assert ask(f"{base}?market=coinbase:NONE-SUCH&timeframe=1m").status_code == 404
    bad = ask(f"{base}?market={world.market.symbol}&timeframe=1x")
    assert bad.status_code == 400 and bad.headers["Content-Type"] == "application/problem+json"
    settings.REQUIRE_API_KEY = True
    assert led(live_server.url, world).status_code == 401


def test_the_stream_process_refuses_what_is_no_ticket(server: StreamServer, settings: Any) -> None:
    base = f"http://127.0.0.1:{settings.SSE_PORT}"
    for answer in (head(f"{base}/stream/candles"), head(f"{base}/stream/candles?ticket=x.y.z")):
        assert answer.status_code == 403 and answer.headers["Content-Type"] == "application/problem+json"
        assert "GET /api/v1/candles/stream" in json.loads(answer.content)["detail"]
    assert httpx.post(f"{base}/stream/candles").status_code == 405
    assert httpx.get(f"{base}/").status_code == 404
    assert httpx.get(f"{base}/health/live").status_code == 200


def test_whoever_comes_with_a_ticket_that_ran_out_is_led_back_and_gets_there(
    live_server: Any, server: StreamServer, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = shown(world.market, "1m")["cursor"]
    location = led(live_server.url, world, **{"Last-Event-ID": cursor}).headers["Location"]
    with monkeypatch.context() as later:
        later.setattr(tickets, "LIFETIME", -1)
        back = head(location)
        later.setattr(tickets, "RESUMED", -1)
        assert head(location, headers={"Last-Event-ID": cursor}).status_code == 307
    assert back.status_code == 307
    again = httpx.URL(back.headers["Location"])
    assert again.path == "/api/v1/candles/stream" and again.params["cursor"] == cursor
    assert head(str(again), follow_redirects=True).status_code == 200


def test_an_old_ticket_goes_on_with_its_stream_as_long_as_its_owner_may_read(
    live_server: Any, server: StreamServer, settings: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = saved_key("reader", ApiKey.Scope.READ)
    staff = User.objects.create_user("ada", is_staff=True)
    place = {"Last-Event-ID": shown(world.market, "1m")["cursor"]}
    anybody = led(live_server.url, world).headers["Location"]
    holder = led(live_server.url, world, **{"X-API-Key": text}).headers["Location"]
    ticket, _ = read_ticket(httpx.URL(anybody).params["ticket"])
    user = anybody.partition("?")[0] + f"?ticket={tickets.signed(replace(ticket, user=staff.pk))}"
    monkeypatch.setattr(tickets, "LIFETIME", -1)

    def statuses() -> list[int]:
        return [head(location, headers=place).status_code for location in (anybody, holder, user)]

    assert statuses() == [200, 200, 200]
    settings.REQUIRE_API_KEY = True
    assert statuses() == [307, 200, 200]
    revoke_key(ApiKey.objects.get())
    User.objects.update(is_staff=False)
    assert statuses() == [307, 307, 307]


def test_a_revoked_key_ends_its_streams(live_server: Any, settings: Any, world: World) -> None:
    settings.REQUIRE_API_KEY = True
    text = saved_key("reader", ApiKey.Scope.READ)
    with streaming(settings, renew=1) as server:
        location = led(live_server.url, world, **{"X-API-Key": text}).headers["Location"]
        with httpx.stream("GET", location, timeout=30) as answer:
            until("he follows", lambda: len(server.hub), SOON)
            revoke_key(ApiKey.objects.get())
            for _ in answer.iter_raw():
                pass  # up to its end


def test_a_stream_that_is_followed_keeps_its_lease(
    live_server: Any, settings: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream.objects.create(market=world.market, timeframe="1m", lease_until=Now(), created_at=Now())
    before = Stream.objects.get().lease_until
    with streaming(settings, renew=1):
        ticket, _ = read_ticket(httpx.URL(led(live_server.url, world).headers["Location"]).params["ticket"])
        named = tickets.signed(replace(ticket, stream=stream.pk))
        with httpx.stream("GET", f"http://127.0.0.1:{settings.SSE_PORT}/stream/candles?ticket={named}", timeout=30):
            until("it is renewed", lambda: Stream.objects.get().lease_until > before, SOON)


PAGE = "https://charts.example.org"


@pytest.mark.parametrize(
    ("origin", "asked_by", "allowed"),
    [
        (PAGE, PAGE, PAGE),
        ("null", PAGE, "null"),  # a browser led from one foreign origin to another says so
        ("null", None, None),
        ("https://evil.example", None, None),
    ],
)
def test_pages_that_may_read_the_api_may_read_its_streams(
    live_server: Any, server: StreamServer, settings: Any, world: World, origin: str, asked_by: str, allowed: str
) -> None:
    settings.CORS_ALLOWED_ORIGINS = [PAGE]
    headers = {"Origin": asked_by} if asked_by else {}
    location = led(live_server.url, world, **headers).headers["Location"]
    answer = head(location, headers={"Origin": origin})
    assert answer.headers.get("Access-Control-Allow-Origin") == allowed
    own = head(location, headers={"Origin": live_server.url})
    assert own.headers["Access-Control-Allow-Origin"] == live_server.url
    assert own.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert (own.headers["Cache-Control"], own.headers["X-Accel-Buffering"]) == ("no-cache", "no")
    asked = httpx.options(location, headers={"Origin": PAGE, "Access-Control-Request-Method": "GET"})
    assert asked.status_code == 204 and "last-event-id" in asked.headers["Access-Control-Allow-Headers"]
