"""Ready answers: given without the database while they are true, never when they are not."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django_redis import get_redis_connection
from pytest_django import DjangoAssertNumQueries

from datastore.access import lua_scripts
from datastore.access.rate_limits import MIN_BURST
from datastore.api import early_answer
from datastore.api.responses import response_cache
from datastore.api.responses.json_response import unpack
from datastore.ingest import market_cache
from datastore.ingest.market_cache import market_key
from datastore.models import Market
from datastore.series.reader import read_series
from tests.support.api.rows import BEGAN, SYMBOL, Feed, body_of
from tests.support.datastore.records import store
from tests.support.polling import until
from tests.support.valkey import PrivateValkey

ADDRESS = f"/api/v1/candles?market={SYMBOL}&timeframe=1m&limit=8"
ANSWER = f"ck:answer:{SYMBOL}:1m:8:0:string:none"


class Live:
    """A market whose feed is proven up to now, over the ten minutes that a question shows."""

    def __init__(self) -> None:
        # A minute that ends in the middle of a test would change the answers.
        until("the next minute", lambda: datetime.now(UTC).second < 55)
        self.now = (datetime.now(UTC) - BEGAN).total_seconds()
        self.feed = Feed()
        begin = self.now // 60 * 60 - 600
        store(self.feed.opened(begin), self.feed.trade(begin + 300, "100"), self.feed.watermark(self.now - 0.5, begin))

    def trade(self, price: str) -> None:
        """Let a trade of the running minute be committed; the cache is not notified."""
        store(self.feed.trade(self.now, price))


@pytest.fixture
def live(market: Market) -> Live:
    found = Live()
    market_cache.write_followed()
    return found


@pytest.fixture(autouse=True)
def each_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each answer of a test be looked for; those given again are the last test's affair."""
    monkeypatch.setattr(response_cache, "REUSE_S", 0.0)
    response_cache.forget_recent()


def hash_of(key: str) -> dict[str, str]:
    found: dict[bytes, bytes] = get_redis_connection("default").hgetall(key)
    return {name.decode(): value.decode() for name, value in found.items()}


def ago(key: str, field: str, micros: int) -> None:
    """Let something in the cache have happened earlier."""
    store = get_redis_connection("default")
    store.hset(key, field, int(store.hget(key, field)) - micros)


def close_of(client: Client) -> Any:
    return body_of(client, ADDRESS)["candles"][-1][4]


def confirm() -> None:
    get_redis_connection("default").delete("ck:confirming")
    market_cache.confirm()


def test_the_second_answer_needs_no_database_and_is_the_same(
    client: Client, live: Live, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    first = client.get(ADDRESS)
    confirm()  # it lasts for two seconds, which the first answer of a process may take
    with django_assert_num_queries(0):
        second = client.get(ADDRESS)
    assert (second.status_code, second["ETag"], second["Content-Type"]) == (200, first["ETag"], "application/json")
    times = re.compile(rb'"server_time":\d+,')
    assert times.sub(b"", second.content) == times.sub(b"", first.content)
    assert second.json()["server_time"] >= first.json()["server_time"]


def test_a_known_ready_answer_is_304(client: Client, live: Live) -> None:
    tag = client.get(ADDRESS)["ETag"]
    again = client.get(ADDRESS, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)


def test_what_the_consumer_wrote_is_shown_at_once_by_the_reader_who_makes_it(client: Client, live: Live) -> None:
    assert close_of(client) == "100"
    live.trade("101")
    confirm()
    assert close_of(client) == "101"
    assert close_of(client) == "101"


def test_while_one_makes_the_newer_answer_others_get_the_one_before_but_not_for_long(
    client: Client, live: Live
) -> None:
    close_of(client)
    live.trade("101")
    confirm()
    get_redis_connection("default").set(f"{ANSWER}:making", "1", px=60_000)  # someone makes it, and takes long
    before = body_of(client, ADDRESS)
    assert before["candles"][-1][4] == "100"
    assert before["version"] == int(hash_of(ANSWER)["version"]) < int(hash_of(market_key(SYMBOL))["version"])
    ago(ANSWER, "read", response_cache.MAX_LAG_US)
    assert close_of(client) == "101"


def test_a_version_that_nobody_confirms_is_looked_up_and_the_answer_still_given(
    client: Client, live: Live, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    close_of(client)
    ago(market_key(SYMBOL), "confirmed", response_cache.CONFIRMATION_LIFETIME_US)
    with django_assert_num_queries(1):  # what is known of the market
        assert close_of(client) == "100"
    live.trade("101")
    assert close_of(client) == "101"


def test_an_answer_of_an_earlier_minute_is_made_anew(client: Client, live: Live) -> None:
    body = body_of(client, ADDRESS)
    ago(ANSWER, "now", 60_000)  # as if it had been made a minute ago
    ago(ANSWER, "read", 60_000_000)
    get_redis_connection("default").hset(ANSWER, "after", b"untrue")
    assert body_of(client, ADDRESS)["candles"] == body["candles"]


def test_an_answer_read_earlier_never_replaces_a_later_one(client: Client, live: Live) -> None:
    close_of(client)
    early, _ = response_cache.lookup(SYMBOL, "1m:8:0:string:none")
    assert early and early.hit
    old = read_series(Market.objects.get(symbol=SYMBOL), "1m", limit=8)
    live.trade("101")
    confirm()
    assert close_of(client) == "101"
    response_cache.keep(early, "1m:8:0:string:none", old, "old", (b"{", b"", b"}"))
    assert hash_of(ANSWER)["etag"] != "old"


def test_a_cache_flushed_in_the_middle_changes_nothing_but_the_time(client: Client, live: Live) -> None:
    close_of(client)
    get_redis_connection("default").flushall()
    live.trade("101")
    assert close_of(client) == "101"
    confirm()
    live.trade("102")
    confirm()
    assert close_of(client) == "102"


def test_consumers_that_write_out_of_order_leave_the_newer_version(live: Live) -> None:
    market = Market.objects.get(symbol=SYMBOL)
    live.trade("101")
    market_cache.write_followed()
    newest = hash_of(market_key(SYMBOL))
    market.refresh_from_db()
    assert int(newest["version"]) == market.version
    Market.objects.filter(pk=market.pk).update(version=market.version - 1)  # as one reads that was held up
    market_cache.write_followed()
    confirm()
    assert hash_of(market_key(SYMBOL)) == newest


def test_a_confirmation_brings_the_version_of_a_consumer_that_died_before_it_wrote(client: Client, live: Live) -> None:
    assert close_of(client) == "100"
    live.trade("101")
    confirm()
    market = Market.objects.get(symbol=SYMBOL)
    assert int(hash_of(market_key(SYMBOL))["version"]) == market.version
    assert "candles" not in hash_of(market_key(SYMBOL)), "candles of an older version would lie"
    assert close_of(client) == "101"


def test_one_confirmation_serves_all_processes(live: Live, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    confirm()
    with django_assert_num_queries(0):
        assert market_cache.confirm() == 0


def test_answers_never_fill_the_memory(client: Client, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_cache, "MAX_ANSWERS", 3)
    for limit in range(1, 7):
        body_of(client, f"/api/v1/candles?market={SYMBOL}&timeframe=1m&limit={limit}")
    stored = get_redis_connection("default")
    assert sorted(stored.keys("ck:answer:*:none")) == sorted(stored.zrange("ck:answers", 0, -1))
    assert stored.zcard("ck:answers") == 3
    assert stored.exists(f"ck:answer:{SYMBOL}:1m:6:0:string:none")


def test_an_answer_that_lacks_something_and_says_why_is_not_kept(client: Client, live: Live) -> None:
    answer = body_of(client, f"/api/v1/candles?market={SYMBOL}&timeframe=1m&limit=60&wait=0")
    assert answer["request"]["error"]
    assert not get_redis_connection("default").keys("ck:answer:*")


@pytest.mark.parametrize("asked", ["&limit=3", "&limit=3&numbers=float", "&limit=3&closed_only=1", "&limit=4"])
def test_each_usual_question_has_an_answer_of_its_own(client: Client, live: Live, asked: str) -> None:
    address = f"/api/v1/candles?market={SYMBOL}&timeframe=1m{asked}"
    cold = body_of(client, address)
    hot = body_of(client, address)
    assert (hot["candles"], hot["coverage"]) == (cold["candles"], cold["coverage"])
    assert len(hot["candles"]) <= 4


def test_an_unknown_market_is_404_though_the_cache_is_asked_first(client: Client, live: Live) -> None:
    body_of(client, "/api/v1/candles?market=coinbase:NO-USD&timeframe=1m", 404)


@pytest.fixture
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateValkey]:
    server = PrivateValkey(tmp_path_factory.mktemp("hot"))
    server.start()
    yield server
    server.thaw()
    server.stop()


@pytest.mark.slow
def test_a_cache_that_hangs_is_left_alone_and_the_database_answers(
    client: Client, live: Live, own_valkey: PrivateValkey, settings: Any
) -> None:
    hot = {**settings.CACHES["hot"], "LOCATION": f"{own_valkey.url}?socket_timeout=0.25"}
    settings.CACHES = {"default": hot, "hot": hot}
    market_cache.write_followed()
    assert close_of(client) == "100"
    with own_valkey.frozen():
        live.trade("101")
        assert close_of(client) == "101"
        assert response_cache.lookup(SYMBOL, "1m:8:0:string:none") == (None, None), "it is not asked again at once"
    lua_scripts.reset_backoff()
    market_cache.write_followed()
    assert close_of(client) == "101"
    assert response_cache.lookup(SYMBOL, "1m:8:0:string:none")[0]


def test_the_cursor_of_a_ready_answer_names_what_it_shows(client: Client, live: Live) -> None:
    body_of(client, ADDRESS)
    body = body_of(client, ADDRESS)
    series, version, watermark = unpack(body["cursor"], tuple[str, int, int])
    assert (version, watermark) == (body["version"], body["watermark"])
    assert series == hash_of(ANSWER)["series"]


def test_a_ready_answer_takes_its_turn_like_any_other(client: Client, live: Live, settings: Any) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 1
    answers = [client.get(ADDRESS, REMOTE_ADDR="203.0.113.9") for _ in range(MIN_BURST + 1)]
    assert [answer.status_code for answer in answers] == [200] * MIN_BURST + [429]
    assert [int(answer["RateLimit-Remaining"]) for answer in answers] == [*reversed(range(MIN_BURST)), 0]
    bad = client.get(f"{ADDRESS}&limit=no", REMOTE_ADDR="203.0.113.9")
    assert bad.status_code == 429, "a bad question is counted too"


def test_what_was_given_a_moment_ago_is_given_again_without_the_cache(
    client: Client, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(response_cache, "REUSE_S", 0.02)
    monkeypatch.setattr(response_cache, "monotonic", lambda: now)
    close_of(client)
    first = body_of(client, ADDRESS)
    get_redis_connection("default").flushall()
    now += 0.019
    again = body_of(client, ADDRESS)
    assert again["candles"] == first["candles"]
    assert again["server_time"] == first["server_time"] + 19
    now += 0.002
    live.trade("101")
    assert close_of(client) == "101"


BEFORE = b"{"


@pytest.fixture
def many_answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put more answers into the cache than a process keeps, of a market that stays confirmed; return the questions."""
    monkeypatch.setattr(response_cache, "CONFIRMATION_LIFETIME_US", 3_600_000_000)
    stored = get_redis_connection("default")
    seconds, micros = stored.time()
    clock = seconds * 1_000_000 + micros
    shown = {"series": "s", "version": 1, "watermark": 60_000, "now": 120_000}
    stored.hset(market_key(SYMBOL), mapping={**shown, "confirmed": clock})
    questions = [f"1m:{number}:0:string:none" for number in range(response_cache.MAX_ANSWERS + 44)]
    parts = {"etag": "e", "before": BEFORE, "between": b"", "after": b"}"}
    for question in questions:
        stored.hset(f"ck:answer:{SYMBOL}:{question}", mapping={**shown, "read": clock, **parts})
    return questions


def ask_for(question: str) -> bytes | None:
    found, _ = response_cache.lookup(SYMBOL, question)
    return found.hit.kept.parts.before if found and found.hit else None


def test_threads_that_ask_more_questions_than_are_kept_all_get_their_answers(many_answers: list[str]) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads change within a lookup
    try:
        with ThreadPoolExecutor(8) as pool:
            asked = [list(pool.map(ask_for, many_answers)) for _ in range(5)]
    finally:
        sys.setswitchinterval(interval)
    assert {before for turn in asked for before in turn} == {BEFORE}


def test_an_answer_in_use_is_kept_however_many_others_come_after_it(many_answers: list[str]) -> None:
    hot, *others = many_answers
    assert ask_for(hot) == BEFORE
    get_redis_connection("default").hset(f"ck:answer:{SYMBOL}:{hot}", "before", b"sent again")
    for question in others:
        assert ask_for(question) == ask_for(hot) == BEFORE


@pytest.mark.parametrize("sent", [{}, {"HTTP_ACCEPT_ENCODING": "gzip"}, {"HTTP_ORIGIN": "https://charts.example"}])
def test_an_answer_before_the_views_has_the_headers_of_one_that_they_give(
    live: Live, client: Client, settings: Any, sent: dict[str, Any]
) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 600
    settings.CORS_ALLOWED_ORIGINS = ["https://charts.example"]
    address = ADDRESS + "&fill=flat"  # long enough to be compressed
    until("the answer is cached", lambda: is_ready(address), 10)
    early = client.get(address, **sent)
    with before_views(None):
        late = client.get(address, **sent)
    counted = {"RateLimit-Remaining", "RateLimit-Reset", "Content-Length"}
    assert {name: value for name, value in early.headers.items() if name not in counted} == {
        name: value for name, value in late.headers.items() if name not in counted
    }
    assert set(early.headers) == set(late.headers)
    etag: dict[str, Any] = {"HTTP_IF_NONE_MATCH": early.headers["ETag"]}
    known = client.get(address, **etag)
    with before_views(None):
        late = client.get(address, **etag)
    assert (known.status_code, set(known.headers)) == (late.status_code, set(late.headers)) == (304, set(late.headers))


@contextmanager
def before_views(answer: Any) -> Iterator[None]:
    """Let the middleware in front of the views answer so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early_answer, "_ready", lambda *asked: answer)
        yield


def is_ready(address: str) -> bool:
    """Return whether a question about a confirmed market is answered by the middleware in front of the views."""
    market_cache.write_followed()
    given: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        real = early_answer._ready
        patch.setattr(early_answer, "_ready", lambda *asked: given.append(real(*asked)) or given[-1])
        assert Client().get(address).status_code == 200
    return given[-1] is not None


def test_what_is_refused_is_refused_by_the_view_and_counted_once(
    live: Live, client: Client, settings: Any, read_key: str
) -> None:
    until("the answer is cached", lambda: is_ready(ADDRESS), 10)
    settings.REQUIRE_API_KEY = True
    assert client.get(ADDRESS).status_code == 401
    assert client.get(ADDRESS, HTTP_X_API_KEY="ck_wrong").status_code == 401
    assert client.get(ADDRESS, HTTP_X_API_KEY=read_key).status_code == 200
    assert client.get(ADDRESS, HTTP_X_API_KEY=read_key, HTTP_HOST="elsewhere.example").status_code == 400
    # One a minute: however slow the machine, no turn comes back meanwhile.
    settings.REQUIRE_API_KEY, settings.RATE_LIMIT_PER_ADDRESS = False, 1
    answers = [client.get(ADDRESS) for _ in range(MIN_BURST + 2)]
    assert [answer.status_code for answer in answers] == [200] * MIN_BURST + [429] * 2
    assert [int(answer["RateLimit-Remaining"]) for answer in answers] == [*range(MIN_BURST - 1, -1, -1), 0, 0]
