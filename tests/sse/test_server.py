"""Streams from end to end on real servers: the API leads, the stream process serves, readers come and go."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection

from datastore.models import Market
from datastore.sse.backlog import MAX_WAITING_ITEMS
from datastore.sse.channel import TOO_SLOW
from datastore.sse.cursor import OTHER_HISTORY, UNREADABLE_CURSOR
from datastore.sse.follower import SeriesFollower
from datastore.sse.follower_counts import COUNT_AGAIN_S, PublishedCount, followers_by_process
from datastore.sse.server import StreamServer
from tests.support.polling import until
from tests.support.sse.event_log import ClientSeries, Reader, StreamEvent
from tests.support.sse.scenario import MarketScenario, shown
from tests.support.sse.server import Watcher, streaming

pytestmark = pytest.mark.django_db(transaction=True)
CLIENT = Path(__file__).resolve().parents[2] / "docs" / "follow.py"
FRAMES = ("1m", "5m", "1h", "1d", "1M")
SOON = 60  # seconds; a busy machine


def same(series: ClientSeries, scenario: MarketScenario, timeframe: str) -> bool:
    """Return whether a series is what the database holds, and is where that does."""
    answer = shown(scenario.market, timeframe)
    expected = {row[0]: row for row in answer["candles"] if row[0] >= series.since}
    return series.rows == expected and series.watermark is not None and answer["watermark"] - series.watermark < 5_000


def has_all(watcher: Watcher, scenario: MarketScenario) -> bool:
    return bool(watcher.failures) or same(watcher.series, scenario, watcher.query["timeframe"])


def settle(scenario: MarketScenario, watchers: dict[str, Watcher]) -> None:
    """Wait until every reader has all; where one does not get there, say what it lacks."""
    for name, watcher in watchers.items():
        until(f"the series of {name}", partial(has_all, watcher, scenario), SOON)
        assert watcher.failures == []


def test_readers_who_lose_the_connection_at_random_have_in_the_end_what_the_database_has(
    live_server: Any, server: StreamServer, scenario: MarketScenario
) -> None:
    order = random.Random(7)
    with ExitStack() as following:
        watchers = {
            f"{frame} {number}": following.enter_context(
                Watcher(live_server.url, frame, scenario.market.symbol, random.Random(number))
            )
            for number, frame in enumerate(FRAMES * 2)
        }
        until("all are there", lambda: all(one.connections for one in watchers.values()), SOON)
        for round_ in range(60):
            for _ in range(order.randrange(4)):
                scenario.trade(order.choice([0, 0, 1, 5, 400, 4_000]), order.randrange(1, 99))
            scenario.pass_(order.choice([0, 1, 3, 20]))
            scenario.prove(2)
            if round_ % 15 == 14:
                scenario.lose()
                scenario.answer(60, order.randrange(3), 5, [0, 2], 5)
                scenario.scan()
        for one in watchers.values():
            one.order = None  # from the next connection on they stay
        settle(scenario, watchers)
        assert sum(one.connections for one in watchers.values()) > 2 * len(watchers)
        # A channel is made for its first reader, and one that reconnects just now may not be there yet.
        until("a channel of each timeframe", lambda: len(channels_of(server)) == len(FRAMES), SOON)


def channels_of(server: StreamServer) -> set[int]:
    return {id(channel) for channel in server.hub._channels.values()}


def test_the_cursor_of_an_answer_goes_on_in_the_stream_without_hole_or_overlap(
    live_server: Any, server: StreamServer, scenario: MarketScenario
) -> None:
    address = f"{live_server.url}/api/v1/candles?market={scenario.market.symbol}&timeframe=1m&limit=100&wait=0"
    answer = httpx.get(address, timeout=30).json()
    scenario.trade(0, 55)
    scenario.trade(1_000, 56)
    with Watcher(live_server.url, "1m", scenario.market.symbol, cursor=answer["cursor"]) as watcher:
        watcher.series = ClientSeries.of_answer(answer)
        watcher.series.cursor = None  # so that the query's counts
        settle(scenario, {"the reader": watcher})
        told = [event.name for event in watcher.told]
        assert "snapshot" not in told
        assert {event.data[0] for event in watcher.told if event.name == "candle"} <= {
            row[0] for row in shown(scenario.market, "1m")["candles"]
        }


def test_a_change_is_read_once_for_all_who_follow_the_series(
    live_server: Any, server: StreamServer, scenario: MarketScenario
) -> None:
    with ExitStack() as following:
        watchers = [following.enter_context(Watcher(live_server.url, "1m", scenario.market.symbol)) for _ in range(8)]
        until("all are shown the series", lambda: all(one.series.cursor for one in watchers), SOON)
        before = reads(server)
        scenario.trade(0, 77)
        settle(scenario, {str(number): one for number, one in enumerate(watchers)})
        assert all(one.series.cursor == watchers[0].series.cursor for one in watchers)
        assert 0 < reads(server) - before < len(watchers)


def reads(server: StreamServer) -> int:
    return sum(reader.reads for reader in server.hub._readers)


def told_of(watcher: Watcher, state: str) -> list[Any]:
    return [hole for hole in watcher.series.gaps if hole["state"] == state]


def test_holes_are_told_as_they_open_and_are_filled(
    live_server: Any, server: StreamServer, scenario: MarketScenario
) -> None:
    with Watcher(live_server.url, "1m", scenario.market.symbol) as watcher:
        until("a snapshot", lambda: watcher.series.cursor, SOON)
        scenario.lose()
        scenario.pass_(600)
        scenario.prove(0)
        scenario.scan()
        until("the hole", lambda: told_of(watcher, "partial"), SOON)
        scenario.answer(60, 0, 15, [1], 5)
        scenario.scan()
        until("its end", lambda: told_of(watcher, "provider"), SOON)
        settle(scenario, {"the reader": watcher})


@pytest.mark.parametrize(("spoil", "reason"), [("nonsense", UNREADABLE_CURSOR), ("foreign", OTHER_HISTORY)])
def test_a_bad_cursor_is_answered_by_a_snapshot_that_says_so(
    live_server: Any, server: StreamServer, scenario: MarketScenario, spoil: str, reason: str
) -> None:
    other = MarketScenario(scenario.clock)
    cursor = spoil if spoil == "nonsense" else shown(other.market, "1m")["cursor"]
    with Watcher(live_server.url, "1m", scenario.market.symbol, cursor=cursor, limit="50") as watcher:
        until("a snapshot", lambda: watcher.series.snapshots, SOON)
        assert watcher.series.snapshots == [reason]
        settle(scenario, {"the reader": watcher})


def test_of_what_a_slow_reader_did_not_take_the_newest_state_of_each_candle_is_kept(
    live_server: Any, settings: Any, scenario: MarketScenario
) -> None:
    with streaming(settings, stuck=1_000) as server, connected(live_server.url, scenario, 4_096) as raw:
        until("it follows", lambda: len(server.hub), SOON)
        (follower,) = server.hub._followers
        assert isinstance(follower, SeriesFollower)
        for price in range(1, 9):
            scenario.answer(60, 3, 3_000, list(range(3_000)), price)
            until("it is read", partial(is_read, server.hub), SOON)
        assert follower.sending_since is not None
        assert len(follower.backlog._rows) <= 3_010
        series, told = read_on(raw, lambda series: same(series, scenario, "1m"))
        assert series.snapshots == [None]
        # Of eight states of each: one lay in the socket's buffer, one was being sent, the newest waited.
        assert sum(event.name == "candle" for event in told) < 3 * 3_000 + 20


def test_a_reader_who_is_too_slow_for_even_that_is_told_so_and_shown_all_anew(
    live_server: Any, settings: Any, scenario: MarketScenario
) -> None:
    with streaming(settings, stuck=1_000) as server, connected(live_server.url, scenario, 4_096) as raw:
        until("it follows", lambda: len(server.hub), SOON)
        (follower,) = server.hub._followers
        assert isinstance(follower, SeriesFollower)
        for part in range(4):
            scenario.answer(60, 3 + part * 3_000, 3_000, list(range(3_000)), 7)
            until("it is read", partial(is_read, server.hub), SOON)
            assert len(follower.backlog._rows) + len(follower.backlog._gaps) <= MAX_WAITING_ITEMS
        series, _ = read_on(raw, lambda series: len(series.snapshots) == 2 and same(series, scenario, "1m"))
        assert series.snapshots[1] == TOO_SLOW


def read_on(raw: socket.socket, enough: Callable[[ClientSeries], bool]) -> tuple[ClientSeries, list[StreamEvent]]:
    """Read from a bare socket until a series is good; chunks of HTTP fall out, for none begins with a field's name."""
    series, reader, told, text = ClientSeries(), Reader(), [], b""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # slow no longer
    raw.settimeout(0.1)

    def take_what_is_there() -> bool:
        nonlocal text
        with suppress(TimeoutError):
            while chunk := raw.recv(1 << 20):
                whole, found, text = (text + chunk).rpartition(b"\r\n")
                for event in reader.feed(b"".join(line for line in (whole + found).split(b"\r\n") if b":" in line)):
                    series.take(event)
                    told.append(event)
        return enough(series)

    until("the series is good", take_what_is_there, SOON)
    return series, told


def is_read(hub: Any) -> bool:
    """Return whether the only channel is where its market is."""
    (channel,) = hub._channels.values()
    return (
        channel.position is not None and channel.position[0].version == Market.objects.get(pk=channel.market.pk).version
    )


class connected:
    """A reader's bare socket that asks for a stream and takes nothing yet."""

    def __init__(self, base: str, scenario: MarketScenario, room: int) -> None:
        led = httpx.get(f"{base}/api/v1/candles/stream?market={scenario.market.symbol}&timeframe=1m&limit=10")
        self.url, self.room = httpx.URL(led.headers["Location"]), room

    def __enter__(self) -> socket.socket:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.room)
        self.socket.connect((self.url.host, self.url.port))
        self.socket.sendall(b"GET %s HTTP/1.1\r\nHost: here\r\n\r\n" % self.url.raw_path)
        return self.socket

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def test_a_connection_that_takes_nothing_for_long_is_cut(
    live_server: Any, settings: Any, scenario: MarketScenario
) -> None:
    with streaming(settings, stuck=1, heartbeat=1) as server, connected(live_server.url, scenario, 4_096):
        until("it follows", lambda: len(server.hub), SOON)
        scenario.answer(60, 3, 5_000, list(range(5_000)), 7)
        until("it is cut", lambda: not len(server.hub), SOON)


def test_a_silent_stream_says_that_it_lives(live_server: Any, settings: Any, scenario: MarketScenario) -> None:
    with streaming(settings, heartbeat=1), Watcher(live_server.url, "1M", scenario.market.symbol) as watcher:
        until("heartbeats", lambda: watcher.heartbeats >= 2, SOON)
        assert watcher.connections == 1


def test_the_end_of_the_process_ends_the_streams_quickly_and_readers_come_again(
    live_server: Any, settings: Any, scenario: MarketScenario
) -> None:
    with ExitStack() as following:
        with streaming(settings):
            watcher = following.enter_context(Watcher(live_server.url, "1m", scenario.market.symbol))
            until("a snapshot", lambda: watcher.series.cursor, SOON)
        scenario.trade(0, 9)
        with streaming(settings):
            settle(scenario, {"the reader": watcher})
            assert watcher.series.snapshots == [None]
            watcher.__exit__()
            following.pop_all()


def test_streams_outlive_a_database_that_is_away(
    live_server: Any, server: StreamServer, scenario: MarketScenario
) -> None:
    with Watcher(live_server.url, "1m", scenario.market.symbol) as watcher:
        until("a snapshot", lambda: watcher.series.cursor, SOON)
        with connection.cursor() as cursor:
            cursor.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
                " and datname = current_database()"
            )
        scenario.trade(0, 12)
        settle(scenario, {"the reader": watcher})
        assert watcher.connections == 1


def test_without_wake_ups_the_look_finds_what_changed(
    live_server: Any, settings: Any, scenario: MarketScenario
) -> None:
    away, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    with streaming(settings), Watcher(live_server.url, "1m", scenario.market.symbol) as watcher:
        until("a snapshot", lambda: watcher.series.cursor, SOON)
        scenario.trade(0, 12)
        settle(scenario, {"the reader": watcher})
        assert watcher.connections == 1
    settings.REDIS_URL = away


def test_who_follows_is_told_to_whoever_asks_for_metrics(
    live_server: Any, server: StreamServer, scenario: MarketScenario
) -> None:
    with Watcher(live_server.url, "1m", scenario.market.symbol):
        until("it is counted", lambda: 1 in followers_by_process().values(), SOON)


@pytest.mark.slow
def test_the_documented_client_keeps_its_place_when_the_process_goes_and_comes(
    live_server: Any, settings: Any, scenario: MarketScenario, tmp_path: Path
) -> None:
    told = tmp_path / "followed.txt"
    with told.open("w") as output:
        command = [sys.executable, "-u", str(CLIENT), live_server.url, scenario.market.symbol, "1m"]
        client = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        with streaming(settings) as server:
            until("it follows", lambda: len(server.hub), SOON)

            def is_told_a_change() -> bool:
                scenario.trade(0, 71)  # again and again: the first ones may lie in the snapshot, which is not printed
                return "'71'" in told.read_text()

            until("a change", is_told_a_change, SOON)
        scenario.trade(0, 72)
        with streaming(settings, port=settings.SSE_PORT):
            until("a change that came meanwhile", lambda: "'72'" in told.read_text(), SOON)
    finally:
        client.kill()
        client.wait()


def test_the_count_of_followers_is_published_when_it_changes_and_now_and_then() -> None:
    now = [0.0]
    published = PublishedCount(lambda: now[0])
    assert published.is_due(0, {}) and not published.is_due(0, {})
    assert published.is_due(1, {7: 1}) and not published.is_due(1, {7: 1})
    now[0] = COUNT_AGAIN_S
    assert published.is_due(1, {7: 1}) and not published.is_due(1, {7: 1})
