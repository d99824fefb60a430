"""What is left of the provider's calls, as `manage.py status` tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django_redis import get_redis_connection

from ingestion.history.rest_calls import describe_calls_left
from tests.support.simulator import running


@pytest.fixture(autouse=True)
def full_budget(settings: Any) -> Iterator[None]:
    settings.PROVIDER_CALLS_PER_MINUTE = 280
    get_redis_connection("default").flushdb()
    yield
    get_redis_connection("default").flushdb()


@pytest.mark.slow
def test_both_counts_are_told_and_asking_is_one_call_of_each(tmp_path: Path, settings: Any) -> None:
    with running(tmp_path, "--markets", "coinbase:BTC-USD", "--key", "sesame") as simulator:
        settings.CRYPTOCOMPARE_REST_URL, settings.CRYPTOCOMPARE_API_KEY = simulator.rest_url, "sesame"
        describe_calls_left()
        ours, theirs = describe_calls_left()
    assert "minute 279 of 280" in ours
    assert "day 9,998" in theirs and "month 74,998" in theirs


@pytest.mark.slow
def test_a_refused_key_and_a_provider_that_is_away_are_told_as_such(tmp_path: Path, settings: Any) -> None:
    with running(tmp_path, "--markets", "coinbase:BTC-USD", "--key", "sesame") as simulator:
        settings.CRYPTOCOMPARE_REST_URL, settings.CRYPTOCOMPARE_API_KEY = simulator.rest_url, "open"
        assert "API key required" in describe_calls_left()[1]
    assert "does not answer" in describe_calls_left()[1]


def test_an_empty_budget_keeps_the_provider_from_being_asked(settings: Any) -> None:
    settings.PROVIDER_CALLS_PER_MINUTE = 1
    settings.CRYPTOCOMPARE_REST_URL = "http://127.0.0.1:1"
    describe_calls_left()
    ours, theirs = describe_calls_left()
    assert "minute 0 of 1" in ours
    assert "not asked" in theirs
