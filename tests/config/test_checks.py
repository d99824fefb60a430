"""Combinations of settings that cannot work together."""

from __future__ import annotations

from typing import Any

import pytest

from config import checks


def ids(messages: list[checks.CheckMessage]) -> list[str | None]:
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


@pytest.mark.parametrize(
    ("rest", "websocket", "found"),
    [
        ("", "", []),
        ("https://a.example", "wss://a.example/v2", []),
        ("https://a.example", "", ["candlekeep.E001"]),
        ("", "wss://a.example/v2", ["candlekeep.E001"]),
    ],
)
def test_both_addresses_of_a_provider_are_set_or_neither(
    settings: Any, rest: str, websocket: str, found: list[str]
) -> None:
    settings.CRYPTOCOMPARE_REST_URL, settings.CRYPTOCOMPARE_WS_URL = rest, websocket
    assert ids(checks.provider_urls()) == found


@pytest.mark.parametrize(
    ("url", "found"), [("redis://h:1/0", []), ("memory://t", []), ("amqp://h", ["candlekeep.E002"])]
)
def test_a_stream_of_an_unknown_kind_is_an_error(settings: Any, url: str, found: list[str]) -> None:
    settings.STREAM_URL = url
    assert ids(checks.stream_url()) == found


def test_unreadable_simulator_arguments_are_an_error(settings: Any) -> None:
    settings.SIMULATOR_ARGS = "--replay 'half"
    assert ids(checks.simulator_args()) == ["candlekeep.E003"]


def test_simulator_arguments_beside_a_real_provider_are_a_warning(settings: Any) -> None:
    settings.SIMULATOR_ARGS, settings.EMBEDDED_SIMULATOR = "--speed 2", False
    assert ids(checks.simulator_args()) == ["candlekeep.W001"]


@pytest.mark.parametrize(
    ("host", "given", "found"),
    [
        ("127.0.0.1", False, []),
        ("localhost", False, []),
        ("::1", False, []),
        ("10.0.0.5", True, []),
        ("10.0.0.5", False, ["candlekeep.W002"]),
    ],
)
def test_whoever_listens_beyond_this_machine_must_say_under_which_names(
    settings: Any, host: str, given: bool, found: list[str]
) -> None:
    settings.HOST, settings.ALLOWED_HOSTS_GIVEN = host, given
    assert ids(checks.reachable_by_name()) == found
