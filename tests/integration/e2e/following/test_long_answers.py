"""Answers of any length from the web process as `up` starts it: many at once, and readers that leave in the middle."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import httpx
import psutil
import psycopg
import pytest

from tests.support.e2e.platform import Platform
from tests.support.polling import PATIENT_S, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
# A market that nobody follows: the hole between 2020 and today would be filled.
QUIET, MINUTES = "binance:BTC-USDT", 100_000
AT_ONCE = 10
MAX_GROWTH = 100_000_000  # bytes, of several times as many that are sent
BEGAN_MS = 1_577_836_800_000  # 2020, of which the simulator has nothing
ADDRESS = f"/api/v1/candles?market={QUIET}&timeframe=1m&from={BEGAN_MS}&to={BEGAN_MS + MINUTES * 60_000}&wait=0"
INSERT = """
with span as (select id, timestamptz '2020-01-01 00:00:00+00' as start, timestamptz '2020-01-01 00:00:00+00'
                     + make_interval(mins => %(minutes)s) as stop from market where symbol = %(symbol)s),
     proven as (insert into coverage (market_id, source, feed, resolution, start, stop, version, proof)
                select id, 'provider', '', 60, start, stop, 0, 'candle' from span)
insert into provider_candle (market_id, resolution, open_time, open, high, low, close, volume, quote_volume, version,
       revision)
select id, 60, t, 60000.25, 60012.5, 59990.75, 60001, n / 1e8::numeric, 600.5, 0, 0
  from span cross join lateral generate_series(start, stop - interval '1 minute', interval '1 minute')
       with ordinality g (t, n)
"""


@pytest.fixture(scope="module")
def long(platform: Platform) -> None:
    """A market with many minutes of 2020."""
    assert platform.api("candles", market=QUIET, timeframe="1m", limit=1, wait=0).is_success
    with psycopg.connect(platform.addresses["database_url"]) as connection:
        connection.execute(INSERT, {"minutes": MINUTES, "symbol": QUIET})


def download(platform: Platform, form: str) -> tuple[int, str]:
    """Return the bytes of a whole answer and their digest; while the server is busy, ask again."""

    def tried() -> tuple[int, str] | None:
        with platform.http.stream("GET", f"{ADDRESS}&format={form}", headers={"Accept-Encoding": "identity"}) as answer:
            if answer.status_code == httpx.codes.OK:
                digest, size = sha256(), 0
                for chunk in answer.iter_raw():
                    digest.update(chunk)
                    size += len(chunk)
                return size, digest.hexdigest()
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert answer.headers["Retry-After"]
            assert answer.read() and answer.json()["type"] == "urn:candlekeep:problem:busy"
            return None

    return until("the server has a place", tried, 240, longest_pause=PATIENT_S)


def memory_of(platform: Platform) -> int:
    web = psutil.Process(until("the web process runs", lambda: platform.pid("web"), 30))
    return sum(each.memory_full_info().uss for each in (web, *web.children(recursive=True)))


def reading_sessions(platform: Platform) -> int:
    """Return how many sessions of the database are in the middle of reading these candles."""
    sql = "select count(*) from pg_stat_activity where state <> 'idle' and query like %s and pid <> pg_backend_pid()"
    return int(platform.rows(sql, "%string_agg%provider_candle%")[0][0])


def test_ten_long_answers_at_once_are_the_same_and_take_bounded_memory(platform: Platform, long: None) -> None:
    size, digest = download(platform, "ndjson")  # imports, and the pool's connections, are no part of it
    before, most = memory_of(platform), 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(download, platform, "ndjson") for _ in range(AT_ONCE)]
        while not all(one.done() for one in asked):
            most = max(most, memory_of(platform))
    assert {one.result() for one in asked} == {(size, digest)}
    assert size * AT_ONCE > 1.5 * MAX_GROWTH
    assert most - before < MAX_GROWTH


def test_readers_that_hang_up_in_the_middle_leave_no_place_and_no_session_behind(
    platform: Platform, long: None
) -> None:
    for _ in range(AT_ONCE):
        with socket.create_connection(("127.0.0.1", platform.port), timeout=60) as raw:
            raw.sendall(f"GET {ADDRESS}&format=csv HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert raw.recv(65_536).startswith(b"HTTP/1.1 ")  # and then it goes, whatever was sent
    size, _ = download(platform, "csv")
    assert size > MINUTES * 60
    until("no session is left", lambda: not reading_sessions(platform), 60)
