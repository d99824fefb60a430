"""Rate limits: buckets in Valkey that everybody who asks at once takes from."""

from __future__ import annotations

import ipaddress
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings as ours
from django.db import connection
from django.test import Client, RequestFactory

from datastore.access import api_keys, lua_scripts, rate_limits
from datastore.access.rate_limits import Bucket, take
from datastore.api.auth.client_address import client_address
from datastore.models import ApiKey, Market
from tests.support.api.keys import saved_key
from tests.support.polling import until
from tests.support.valkey import private_valkey

ROOT = Path(__file__).resolve().parents[2]
CANDLES = "/api/v1/markets"
BURST = rate_limits.MIN_BURST


def bucket(per_minute: int = 1) -> Bucket:
    """Return a bucket of the test's own; one a minute comes back: none during the test."""
    return Bucket(uuid4().hex, per_minute)


@pytest.fixture
def valkey() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(ours.REDIS_URL) as client:
        yield client


@pytest.mark.slow
def test_two_processes_and_their_threads_share_a_bucket_to_the_last_request(valkey: redis.Redis) -> None:
    shared = bucket()
    code = (
        "import sys, django; django.setup()\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from datastore.access.rate_limits import Bucket, take\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"turns = list(ThreadPoolExecutor(4).map(take, [Bucket('{shared.name}', 1)] * 30))\n"
        "print(sum(turn.allowed for turn in turns))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for one in started:
        assert one.stdout and one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    assert sum(int(one.communicate(timeout=30)[0]) for one in started) == BURST
    assert valkey.pttl(shared.key) > 0


def test_what_remains_is_counted_down_and_the_wait_is_told() -> None:
    own = bucket()
    turns = [take(own) for _ in range(BURST + 1)]
    assert [turn and turn.remaining for turn in turns] == [*reversed(range(BURST)), 0]
    last = turns[-1]
    assert last and not last.allowed and 50 < last.wait <= 60
    assert take(own) is not None  # being refused costs nothing: the wait does not grow
    again = take(own)
    assert again and again.wait <= last.wait


def test_what_was_taken_comes_back_at_the_rate(valkey: redis.Redis) -> None:
    own = bucket(60 * 200)  # one every 5 ms
    begun = monotonic()  # before the bucket is empty, or a pause between the two would shorten the time
    seconds, micros = valkey.time()
    valkey.set(own.key, seconds * 1_000_000 + micros + own.capacity * 5_000)  # empty, from now on
    taken = 0
    while taken < 20:
        turn = take(own)
        assert turn is not None
        taken += turn.allowed
        assert monotonic() - begun < 10
    assert monotonic() - begun > 0.09


@pytest.mark.parametrize(("per_minute", "capacity"), [(1, 20), (200, 20), (6_000, 600), (60_000, 6_000)])
def test_a_tenth_of_a_minute_may_come_at_once(per_minute: int, capacity: int) -> None:
    own = bucket(per_minute)
    assert own.capacity == capacity
    turn = take(own)
    assert turn and turn.remaining == capacity - 1


def test_who_comes_often_needs_few_round_trips_and_every_turn_is_counted(
    valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, now, asked = bucket(600_000), 1000.0, 0
    script = rate_limits._TAKE

    def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return script(*arguments)

    monkeypatch.setattr(rate_limits, "_TAKE", counted)
    monkeypatch.setattr(rate_limits, "monotonic", lambda: now)
    remaining = []
    for _ in range(1_000):
        now += 0.0005
        turn = take(own)
        assert turn and turn.allowed
        remaining.append(turn.remaining)
    assert asked < 400
    seconds, micros = valkey.time()
    taken = (int(valkey.get(own.key) or 0) - seconds * 1_000_000 - micros) / (1_000_000 / own.per_second)
    assert remaining[-1] < remaining[0]
    assert taken <= 1_000 + rate_limits.MAX_LEASED, "what was not come for is lost, at most one handful"


def test_threads_that_come_often_get_all_that_there_is_and_never_more(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count()
    # A lease lasts for 500 requests, however slow the machine: what expires unused is lost to the caller.
    monkeypatch.setattr(rate_limits, "monotonic", lambda: next(calls) * rate_limits.LEASE_S / 500)
    own = bucket(6_000)
    begun = monotonic()
    with ThreadPoolExecutor(8) as pool:
        turns = list(pool.map(take, [own] * 3_000))
    allowed = sum(bool(turn and turn.allowed) for turn in turns)
    assert own.many > 1
    assert own.capacity <= allowed <= own.capacity + own.per_second * (monotonic() - begun) + 1


def test_a_script_of_somebody_else_takes_from_the_same_bucket(valkey: redis.Redis) -> None:
    own = bucket()
    script = rate_limits.TAKE + "local a, r, w = take(KEYS[1], ARGV[1], ARGV[2]) return a == 1 and 'answer' or ''"
    for _ in range(BURST):
        assert valkey.eval(script, 1, own.key, own.capacity, own.per_second) == b"answer"
    assert valkey.eval(script, 1, own.key, own.capacity, own.per_second) == b""
    turn = take(own)
    assert turn and not turn.allowed


def test_a_valkey_that_forgot_its_scripts_is_told_again(valkey: redis.Redis) -> None:
    assert take(bucket())
    valkey.script_flush()
    turn = take(bucket())
    assert turn and turn.allowed


@pytest.mark.slow
def test_a_connection_that_the_server_closed_is_made_anew(settings: Any) -> None:
    with private_valkey() as valkey:
        hot = {**settings.CACHES["hot"], "LOCATION": f"{valkey.url}?socket_timeout=0.25"}
        settings.CACHES = {**settings.CACHES, "hot": hot}
        assert take(bucket())
        with valkey.client() as other:
            assert other.client_kill_filter(_type="normal", skipme=True) == 1
        assert take(bucket())
        valkey.stop()
        valkey.start()
        assert take(bucket())


def get(client: Client, address: str, **more: Any) -> Any:
    return client.get(CANDLES, REMOTE_ADDR=address, **more)


def fresh_address() -> str:
    return str(ipaddress.IPv6Address(uuid4().int))


def test_an_address_is_held_back_with_429_and_others_are_not(client: Client, market: Market, settings: Any) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 30
    mine, began = fresh_address(), time.monotonic()
    first = get(client, mine)
    told = {name: first[name] for name in first.headers if name.startswith("RateLimit-")}
    assert told == {
        "RateLimit-Limit": "20",
        "RateLimit-Remaining": "19",
        "RateLimit-Reset": "2",
        "RateLimit-Policy": "20;w=40",
    }
    assert {get(client, mine).status_code for _ in range(BURST - 1)} == {200}
    turns_back = 0
    while (refused := get(client, mine)).status_code == 200:
        turns_back += 1
    assert turns_back <= (time.monotonic() - began) / 2, "one in two seconds comes back"
    assert (refused.status_code, refused["Content-Type"]) == (429, "application/problem+json")
    assert (refused["Retry-After"], refused["RateLimit-Remaining"], refused.json()["errors"]) in (
        ("1", "0", {}),
        ("2", "0", {}),
    )
    assert refused.json()["type"] == "urn:candlekeep:problem:too-many-requests"
    assert get(client, fresh_address()).status_code == 200


def test_refusals_of_other_kinds_carry_the_headers_too(client: Client, market: Market, settings: Any) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 30
    response = client.get("/api/v1/candles?a=1", REMOTE_ADDR=fresh_address())
    assert (response.status_code, response["RateLimit-Remaining"]) == (400, "19")


def test_being_refused_counts_too(client: Client, market: Market, settings: Any) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 1
    mine = fresh_address()
    asked = [client.post("/api/v1/backfill", REMOTE_ADDR=mine).status_code for _ in range(BURST + 1)]
    assert asked == [401] * BURST + [429]


def test_a_key_has_its_own_bucket_wherever_it_asks_from(client: Client, market: Market, settings: Any) -> None:
    settings.RATE_LIMIT_PER_ADDRESS, settings.RATE_LIMIT_PER_KEY = 30, 1
    plain, fast, free = (saved_key(name, ApiKey.Scope.READ, rate) for name, rate in (("p", None), ("f", 600), ("o", 0)))
    asked = [get(client, fresh_address(), headers={"X-API-Key": plain}).status_code for _ in range(BURST + 1)]
    assert asked == [200] * BURST + [429]
    assert get(client, fresh_address(), headers={"X-API-Key": fast})["RateLimit-Limit"] == "60"
    assert "RateLimit-Limit" not in get(client, fresh_address(), headers={"X-API-Key": free})


def test_no_limit_is_no_header(client: Client, market: Market) -> None:
    assert "RateLimit-Limit" not in get(client, fresh_address())


def test_an_address_may_have_only_so_many_invented_keys_looked_up(
    client: Client, market: Market, settings: Any, read_key: str
) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 1
    mine = fresh_address()

    def status(text: str) -> int:
        return int(get(client, mine, headers={"X-API-Key": text}).status_code)

    assert status(read_key) == 200
    assert [status(api_keys.make_key("x", "read")[1]) for _ in range(BURST)] == [401] * (BURST - 1) + [429]
    assert status(read_key) == 200  # it is remembered


def test_without_valkey_nobody_is_held_back_and_the_log_says_so_once_a_minute(
    client: Client, market: Market, settings: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 1
    settings.CACHES = {name: {**cache, "LOCATION": "redis://127.0.0.1:1/9"} for name, cache in settings.CACHES.items()}
    now = 1000.0
    monkeypatch.setattr(lua_scripts, "monotonic", lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(45):  # 90 s
            now += 2.0
            response = get(client, "203.0.113.1")
            assert response.status_code == 200 and "RateLimit-Limit" not in response
    assert caplog.text.count("cache is left alone") == 2


@pytest.mark.slow
def test_a_valkey_that_hangs_holds_up_one_request_and_briefly(settings: Any) -> None:
    with private_valkey() as valkey:
        hot = {**settings.CACHES["hot"], "LOCATION": f"{valkey.url}?socket_timeout=0.25"}
        settings.CACHES = {**settings.CACHES, "hot": hot}
        assert take(bucket())
        with valkey.frozen():
            begun = monotonic()
            assert [take(bucket()) for _ in range(50)] == [None] * 50
            assert monotonic() - begun < 1
        until("turns are counted again", lambda: take(bucket()) is not None, 10)


PROXIES = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("direct", "forwarded", "found"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "1.1.1.1", "203.0.113.7"),  # not our proxy: it may write what it likes
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),  # the client wrote the first itself
        ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "1.1.1.1:5555", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, rubbish", "10.0.0.1"),
        ("fd00::1", "[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::/64"),
        ("10.0.0.1", "::ffff:1.1.1.1", "1.1.1.1"),
        ("2001:db8:1:2:ffff::9", "", "2001:db8:1:2::/64"),
        ("", "", ""),
    ],
)
def test_a_forwarded_address_is_believed_of_trusted_proxies_alone(
    settings: Any, direct: str, forwarded: str, found: str
) -> None:
    settings.TRUSTED_PROXIES = PROXIES
    request = RequestFactory().get("/", REMOTE_ADDR=direct, headers={"X-Forwarded-For": forwarded})
    assert client_address(request) == found


def test_without_trusted_proxies_no_forwarded_address_counts(client: Client, market: Market, settings: Any) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 1
    mine = fresh_address()
    asked = [get(client, mine, headers={"X-Forwarded-For": f"1.1.1.{n}"}).status_code for n in range(BURST + 1)]
    assert asked == [200] * BURST + [429]


@pytest.mark.django_db(transaction=True)
def test_threads_that_ask_the_api_at_once_get_exactly_the_burst(market: Market, settings: Any) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 1
    mine = fresh_address()

    def ask(_: int) -> int:
        try:
            return int(get(Client(), mine).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(BURST + 12)))
    assert sorted(answers) == [200] * BURST + [429] * 12


def test_a_clock_that_is_set_back_makes_no_one_wait_longer_than_the_bucket_does(valkey: redis.Redis) -> None:
    own = bucket()
    turns = [take(own) for _ in range(BURST + 1)]
    before = turns[-1]
    assert before and not before.allowed
    # As if all this had happened by a clock that was an hour ahead.
    valkey.incrby(own.key, 3600 * 1_000_000)
    valkey.hincrby("ck:clock", "wall", 3600 * 1_000_000)
    after = take(own)
    assert after and not after.allowed and after.wait <= before.wait + 0.2
    valkey.incrby(own.key, 26 * 3600 * 1_000_000)  # of a server that lost its steady time
    assert (turn := take(own)) and turn.allowed
