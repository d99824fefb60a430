from __future__ import annotations

import threading
import uuid

import pytest
from django_redis import get_redis_connection

from ingestion.history.provider_quota import ProviderQuota, QuotaLeft, Window, configured_windows
from ingestion.providers.cryptocompare.traits import TRAITS
from tests.support.polling import until


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def test_calls_are_allowed_up_to_the_limit_and_again_when_the_window_has_passed(name: str) -> None:
    budget = ProviderQuota(name, (Window("tick", 1, 2), Window("day", 86_400, 5)))
    assert [budget.take(), budget.take()] == [0, 0]
    wait = budget.take()
    assert 0.5 < wait <= 1
    assert budget.remaining() == {"tick": QuotaLeft(0, 2), "day": QuotaLeft(3, 5)}
    until("the window has passed", lambda: not budget.take(), 5)
    assert budget.remaining()["day"] == QuotaLeft(2, 5)


def test_the_longest_wait_of_all_windows_counts_and_a_refused_call_is_not_counted(name: str) -> None:
    budget = ProviderQuota(name, (Window("second", 1, 1), Window("hour", 3600, 1)))
    assert budget.take() == 0
    assert all(3590 < budget.take() <= 3600 for _ in range(3))
    assert budget.remaining()["hour"] == QuotaLeft(0, 1)


def test_a_pause_holds_every_caller_and_a_shorter_one_does_not_end_it(name: str) -> None:
    budget, other = (ProviderQuota(name, configured_windows(TRAITS)) for _ in range(2))
    budget.pause(30)
    budget.pause(1)
    assert 29 < other.take() <= 30
    assert other.remaining()["day"].calls == configured_windows(TRAITS)[-1].limit


def test_callers_at_once_share_one_budget(name: str) -> None:
    found: list[float] = []

    def call() -> None:
        budget = ProviderQuota(name, (Window("hour", 3600, 20),))
        found.extend(budget.take() for _ in range(15))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), found.count(0)) == (60, 20)


def test_a_clock_that_is_set_back_makes_no_one_wait_longer_than_the_window(name: str) -> None:
    valkey, ahead = get_redis_connection("default"), 3600 * 1_000_000
    quota = ProviderQuota(name, (Window("second", 1, 1), Window("minute", 60, 2)))
    assert quota.take() == 0
    quota.pause(30)
    # As if all this had happened by a clock that was an hour ahead.
    for call, at in valkey.zrange(f"ck:budget:{name}:calls", 0, -1, withscores=True):
        valkey.zadd(f"ck:budget:{name}:calls", {call: at + ahead})
    began, length, why = valkey.get(f"ck:budget:{name}:pause").decode().split(" ", 2)
    valkey.set(f"ck:budget:{name}:pause", f"{int(began) + ahead} {length} {why}")
    valkey.hincrby("ck:clock", "wall", ahead)
    assert 29 < quota.take() <= 30
    assert quota.remaining()["minute"] == QuotaLeft(1, 2)
    valkey.delete("ck:clock")  # and of a server that lost its steady time
    assert 0 < quota.take() <= 1
