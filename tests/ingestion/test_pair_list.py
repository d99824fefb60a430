"""The provider's list of pairs: read from any answer, asked of a real simulator, taken within the rate budget."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest
from django_redis import get_redis_connection

from coordination.pair_list_refresh import PairListRefresh
from datastore.models import Pair
from datastore.reference.pairs import Listed, save_pair_list
from datastore.reference.provider import remember_provider
from ingestion.history.pair_list import refresh_pairs
from ingestion.history.provider_quota import quota_of
from ingestion.providers.answers import PairList, RateLimited, Unauthorized, Unavailable
from ingestion.providers.cryptocompare.rest import read_pairs
from ingestion.providers.cryptocompare.traits import TRAITS
from tests.support.simulator import Simulator, running

pytestmark = pytest.mark.django_db


def answer(data: Any, status: int = 200, **envelope: Any) -> object:
    body = {"Response": "Success", "Message": "", "Type": 100, "Data": data, **envelope}
    return read_pairs(status, {"X-Provider": "simulator/test; simulated"}, json.dumps(body).encode())


def test_exchanges_become_pairs_and_what_cannot_be_read_is_counted() -> None:
    said = answer(
        {
            "Coinbase": {"pairs": {"ETH": ["DAI", "USD"], "BTC": ["USD"]}, "isActive": True, "isTopTier": True},
            "Gone": {"pairs": {"BTC": ["USD"]}, "isActive": False},
            "Quiet": {"pairs": {}},
            "Torn": {"pairs": {"BTC": None}},
            "Text": "BTC",
        }
    )
    assert isinstance(said, PairList)
    assert said.pairs == (
        Listed("Coinbase", "ETH", "DAI"),
        Listed("Coinbase", "ETH", "USD"),
        Listed("Coinbase", "BTC", "USD"),
    )
    assert (said.unreadable, said.provider) == (2, "simulator/test")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer([]), Unavailable),
        (answer(None), Unavailable),
        (answer({}, 503), Unavailable),
        (answer({}, Response="Error", Type=99, Message="You are over your rate limit"), RateLimited),
        (answer({}, 401, Err={"message": "API key required", "http_status_code": 401}), Unauthorized),
        (read_pairs(200, {}, b"<html>"), Unavailable),
    ],
)
def test_an_answer_that_is_no_list_is_told_apart(said: object, kind: type) -> None:
    assert isinstance(said, kind)


@pytest.fixture(autouse=True)
def full_budget() -> None:
    get_redis_connection("default").delete("ck:budget:history:calls", "ck:budget:history:pause")


@pytest.fixture
def simulator(tmp_path: Path, settings: Any) -> Iterator[Simulator]:
    with running(tmp_path, "--markets", "coinbase:BTC-USD", "--listed", "okx:SOL-USDT,coinbase:BTC-USD") as started:
        settings.CRYPTOCOMPARE_REST_URL = started.rest_url
        yield started


def spellings() -> dict[str, str]:
    return dict(Pair.objects.filter(active=True).values_list("symbol", "provider_exchange"))


def test_the_simulator_s_list_is_taken_and_costs_one_call_of_the_budget(simulator: Simulator) -> None:
    left = quota_of(TRAITS).remaining()["day"].calls
    assert refresh_pairs(Event())
    assert spellings() == {"coinbase:BTC-USD": "Coinbase", "okx:SOL-USDT": "OKX"}
    assert quota_of(TRAITS).remaining()["day"].calls == left - 1
    assert simulator.get("/control/stats")["rest_calls"]["/data/v3/all/exchanges"] == 1


def test_what_is_known_stays_where_the_provider_fails(simulator: Simulator) -> None:
    assert refresh_pairs(Event())
    before = list(Pair.objects.values())
    simulator.fault("error", seconds=60)
    assert not refresh_pairs(Event())
    simulator.fault("reset")
    simulator.fault("ratelimit", seconds=60)
    assert not refresh_pairs(Event())
    simulator.fault("reset")
    assert not refresh_pairs(Event()), "the provider said that we are over its limit: it is not asked for a while"
    assert list(Pair.objects.values()) == before


def test_a_provider_that_is_still_computing_does_not_hold_a_worker_that_stops(settings: Any) -> None:
    stop = Event()
    Timer(0.3, stop.set).start()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.CRYPTOCOMPARE_REST_URL = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        assert not refresh_pairs(stop)
    assert 0.3 <= time.monotonic() - began < 3


def test_the_list_of_another_provider_is_not_taken(simulator: Simulator) -> None:
    remember_provider("cryptocompare", "someone else", False)
    assert not refresh_pairs(Event())
    assert not Pair.objects.exists()


def test_a_list_is_asked_for_until_it_is_there_and_less_and_less_often() -> None:
    asked: list[float] = []
    now = [0.0]
    watch = PairListRefresh(lambda: asked.append(now[0]), lambda: now[0])
    for second in range(100):
        now[0] = float(second)
        watch.refresh_if_due()
    assert asked == [0, 8, 24, 56]
    save_pair_list("cryptocompare", [Listed("Coinbase", "BTC", "USD")])
    for second in range(100, 4000, 10):
        now[0] = float(second)
        watch.refresh_if_due()
    assert len(asked) == 4
