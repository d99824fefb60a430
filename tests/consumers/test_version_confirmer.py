"""The cached versions are confirmed each second while answers are asked for, else seldom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django_redis import get_redis_connection

from consumers.version_confirmer import IDLE_LOOK_EVERY_S, REPAIR_EVERY_S, VersionConfirmer
from datastore.ingest import market_cache
from datastore.ingest.market_cache import READERS_KEY, market_key
from datastore.reference.markets import ensure_markets
from tests.support.datastore.records import BTC

pytestmark = pytest.mark.django_db


class Steady:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steady]:
    get_redis_connection("default").flushall()
    monkeypatch.setattr(market_cache, "_reader_noted_at", float("-inf"))
    ensure_markets([BTC])
    yield Steady()
    get_redis_connection("default").flushall()


def is_confirmed_after(confirmer: VersionConfirmer, clock: Steady, seconds: float) -> bool:
    """Let so much time pass, and return whether the market is written then."""
    get_redis_connection("default").delete(market_key(BTC), "ck:confirming")  # the time of Valkey is not ours to set
    clock.now += seconds
    confirmer.look()
    return bool(get_redis_connection("default").exists(market_key(BTC)))


def test_while_nobody_asks_versions_are_confirmed_every_few_seconds(clock: Steady) -> None:
    confirmer = VersionConfirmer(clock)
    assert is_confirmed_after(confirmer, clock, 0)
    assert not is_confirmed_after(confirmer, clock, IDLE_LOOK_EVERY_S)
    assert is_confirmed_after(confirmer, clock, REPAIR_EVERY_S)


def test_a_question_has_them_confirmed_at_each_look(clock: Steady, client: Client) -> None:
    confirmer = VersionConfirmer(clock)
    confirmer.look()
    assert client.get(f"/api/v1/candles?market={BTC}&timeframe=1m&limit=8").status_code in (200, 202)
    assert 0 < get_redis_connection("default").pttl(READERS_KEY) <= market_cache.READERS_NOTED_FOR_MS
    assert is_confirmed_after(confirmer, clock, IDLE_LOOK_EVERY_S)
    assert is_confirmed_after(confirmer, clock, IDLE_LOOK_EVERY_S)
    get_redis_connection("default").delete(READERS_KEY)  # as it expires
    assert not is_confirmed_after(confirmer, clock, IDLE_LOOK_EVERY_S)


def test_two_processes_confirm_once(clock: Steady) -> None:
    first, second = VersionConfirmer(clock), VersionConfirmer(clock)
    first.look()
    get_redis_connection("default").delete(market_key(BTC))
    second.look()
    assert not get_redis_connection("default").exists(market_key(BTC))
