"""Calls of venues that count weights: over no limit, shared with other programs, paused for all when they say so."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django_redis import get_redis_connection

from actor_runtime.manual_reset import reset
from datastore.models import FetchRequest
from ingestion.history.pair_list import refresh_pairs
from ingestion.history.provider_quota import ProviderQuota, QuotaLeft, Window, configured_windows, quota_of
from ingestion.history.rest_calls import describe_calls_left
from ingestion.history.rest_client import RestClient
from ingestion.models import Producer
from ingestion.provider_access import REST, access_of
from ingestion.providers.port import PairList
from ingestion.providers.table import PROVIDERS
from tests.support.ingestion.history_bench import Bench, fetched
from tests.support.simulator import Simulator, running
from tests.support.streaming.memory import MemoryBroker
from tests.support.venue_client import call

NAMES = ("binance", "binanceus", "coinbase")
MARKETS = ["binance:BTC-USDT", "binance:ETH-USDT", "binanceus:BTC-USD", "coinbase:BTC-USD", "coinbase:ETH-USD"]
BTC = MARKETS[0]


@pytest.fixture
def venues(tmp_path: Path, settings: Any) -> Iterator[Simulator]:
    with running(tmp_path, "--markets", ",".join(MARKETS), "--rate", "6", "--venues", ",".join(NAMES)) as simulator:
        settings.PROVIDERS = list(NAMES)
        for name in NAMES:
            address = simulator.venue(name)
            setattr(settings, f"{name.upper()}_REST_URL", address.rest_url)
            setattr(settings, f"{name.upper()}_WS_URL", address.ws_url)
        _forget()
        yield simulator
        _forget()


@pytest.fixture
def bench(transactional_db: None, venues: Simulator, settings: Any) -> Iterator[Bench]:
    name = uuid.uuid4().hex
    settings.STREAM_URL = f"memory://{name}"
    yield Bench(venues, MemoryBroker.named(name, django_settings.STREAM_MAXLEN))
    MemoryBroker.forget(name)


def _forget() -> None:
    valkey = get_redis_connection("default")
    for key in valkey.scan_iter("ck:budget:*"):
        valkey.delete(key)


def limits(simulator: Simulator, venue: str) -> dict[str, dict[str, Any]]:
    return {row["limit"]: row for row in simulator.get("/control/venues")[venue]["limits"]}


def client_of(name: str) -> RestClient:
    return RestClient(PROVIDERS[name], access_of(PROVIDERS[name], REST))


def test_a_call_takes_its_weight_and_one_that_does_not_fit_waits_for_enough() -> None:
    quota = ProviderQuota(uuid.uuid4().hex, (Window("hour", 3600, 100), Window("weight", 1800, 10, weighs=True)))
    assert [quota.take(4), quota.take(4)] == [0, 0]
    assert 1790 < quota.take(4) <= 1802
    assert quota.take(2) == 0
    assert quota.remaining() == {"hour": QuotaLeft(97, 100), "weight": QuotaLeft(0, 10)}
    assert 1790 < quota.take(1000) <= 1802, "a call that never fits waits for an empty window"


def test_what_the_provider_counts_is_believed_where_it_is_more_than_ours() -> None:
    quota = ProviderQuota(uuid.uuid4().hex, (Window("weight", 1800, 10, weighs=True),))
    assert quota.take(2) == 0
    assert [quota.believe(1), quota.believe(2), quota.believe(7), quota.believe(7)] == [0, 0, 5, 0]
    assert quota.remaining() == {"weight": QuotaLeft(3, 10)}
    assert quota.believe(10**9) == 3, "of a header that cannot be right no more than the window holds"
    assert 1790 < quota.take() <= 1802


def test_the_windows_of_a_venue_are_named_with_what_they_count() -> None:
    found = configured_windows(PROVIDERS["binance"].traits)
    assert [(one.name, one.limit, one.weighs) for one in found] == [
        ("5 minutes", 61_000, False),
        ("minute (weight)", 6000, True),
    ]


@pytest.mark.slow
def test_many_markets_at_once_exceed_no_limit_of_their_venues(venues: Simulator) -> None:
    """Each thread is a job of its own: what it takes of the quota is all that they share."""
    refused: list[object] = []
    ended = threading.Event()

    def fetch_pairs(name: str, most: int) -> None:
        quota = quota_of(PROVIDERS[name].traits)
        with closing(client_of(name)) as client:
            for _ in range(most):
                wait = quota.take(client.pairs_weight)
                if wait > 2 or ended.wait(wait):  # a whole window is used up
                    return
                if not wait and not isinstance(answer := client.pairs(), PairList):
                    refused.append(answer)

    jobs = [("binanceus", 100)] * 3 + [("binance", 150)] * 4 + [("coinbase", 15)] * 4
    threads = [threading.Thread(target=fetch_pairs, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    for name in NAMES:
        for figures in limits(venues, name).values():
            assert figures["exceeded"] == 0, (name, figures)
    assert limits(venues, "binanceus")["weight"]["taken"] == 1200, "all of the window was used"
    assert limits(venues, "binance")["weight"]["taken"] == 6000
    assert quota_of(PROVIDERS["binance"].traits).remaining()["minute (weight)"].calls == 0
    assert limits(venues, "coinbase")["calls"]["taken"] > 20


@pytest.mark.slow
def test_weight_that_another_program_used_is_seen_in_the_next_answer(venues: Simulator) -> None:
    traits = PROVIDERS["binanceus"].traits
    quota, request = quota_of(traits), PROVIDERS["binanceus"].catalogue.pairs_request()
    for _ in range(56):
        call(venues.venue("binanceus"), request)
    with closing(client_of("binanceus")) as client:
        taken = 0
        while not quota.take(client.pairs_weight):
            assert isinstance(client.pairs(), PairList)
            taken += 1
    figures = limits(venues, "binanceus")["weight"]
    # Where a minute began in between, the venue counts from zero again; ours does not.
    assert figures["exceeded"] == 0 and taken < 60
    assert "minute (weight) 0 of 1,200" in " ".join(describe_calls_left())


@pytest.mark.parametrize(
    ("kind", "least", "words"), [("ratelimit", 25, "Too many"), ("ban", 175, "stop other programs")]
)
def test_a_limit_and_a_ban_pause_every_call_with_what_to_do(bench: Bench, kind: str, least: int, words: str) -> None:
    bench.simulator.fault("venues/binance/trouble", kind=kind, seconds=3600, retry_after=least + 5)
    request = fetched(bench.ask(10, symbol=BTC))
    assert (request.state, words in (request.error or "")) == (FetchRequest.State.QUEUED, True), request.error
    quota = quota_of(PROVIDERS["binance"].traits)
    assert least < quota.take() <= least + 6
    assert words in (quota.pause_reason() or "")
    before = calls(bench)
    other = fetched(bench.ask(10, symbol="binance:ETH-USDT"))
    assert words in (other.error or "")
    assert not refresh_pairs(threading.Event())
    assert calls(bench) == before, "nobody asks while all wait"
    assert any("are paused" in line and words in line for line in describe_calls_left())
    with closing(client_of("coinbase")) as client:
        assert isinstance(client.pairs(), PairList), "another provider is asked on"


def test_a_region_that_is_not_served_holds_the_provider_until_a_person_has_mended_it(bench: Bench) -> None:
    bench.simulator.fault("venues/binance/trouble", kind="region", seconds=3600)
    request = fetched(bench.ask(10, symbol=BTC))
    row = Producer.objects.get(state=Producer.State.ERROR)
    assert row.reset_at is None
    assert "restricted location" in (row.last_error or "") and "data-api.binance.vision" in (row.last_error or "")
    before = calls(bench)
    other = fetched(bench.ask(10, symbol="binance:ETH-USDT"))
    assert f"manage.py reset_actor {row.name}" in (other.error or "")
    refresh_pairs(threading.Event())
    assert calls(bench) == before
    bench.simulator.fault("venues/binance/reset")
    reset(Producer, row.name, by="a test")
    assert fetched(request).state == FetchRequest.State.PUBLISHED


def calls(bench: Bench) -> int:
    return sum(bench.simulator.get("/control/venues")["binance"]["rest_calls"].values())


def test_a_page_of_candles_of_each_venue_is_read_within_its_quota(bench: Bench) -> None:
    for market in (BTC, "coinbase:BTC-USD"):
        assert fetched(bench.ask(10, symbol=market)).state == FetchRequest.State.PUBLISHED
    left = quota_of(PROVIDERS["binance"].traits).remaining()["minute (weight)"]
    assert left.calls == left.limit - 2 == 5998
