"""Combinations of settings that cannot work together."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from config import checks
from config.networks import host_of
from config.supervision import processes
from tests.support.config.system_checks import ids


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
    ("url", "found"), [("redis://h:1/0", []), ("memory://t", []), ("kafka://h", []), ("amqp://h", ["candlekeep.E002"])]
)
def test_a_stream_of_an_unknown_kind_is_an_error(settings: Any, url: str, found: list[str]) -> None:
    settings.STREAM_URL = url
    assert ids(checks.stream_url()) == found


def test_more_copies_than_a_provider_lets_connect_are_a_warning(settings: Any) -> None:
    settings.PROVIDERS, settings.LIVE_COPIES = ["coinbase", "cryptocompare"], 2
    assert ids(checks.live_copies()) == ["candlekeep.W011"]
    names = [one.name for one in processes.producer_processes()]
    assert names == ["producer-coinbase", "producer-coinbase-2", "producer-cryptocompare"]
    settings.PROVIDERS, settings.LIVE_COPIES = ["cryptocompare"], 1
    assert ids(checks.live_copies()) == []
    assert [one.name for one in processes.producer_processes()] == ["producer"]


def test_api_and_streams_at_one_port_are_an_error(settings: Any) -> None:
    settings.PORT, settings.SSE_PORT = 8000, 8001
    assert ids(checks.two_ports()) == []
    settings.SSE_PORT = 8000
    assert ids(checks.two_ports()) == ["candlekeep.E004"]


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


@pytest.mark.parametrize(
    ("host", "required", "given", "proxies", "found"),
    [
        ("127.0.0.1", False, False, [], []),
        ("10.0.0.5", True, False, [], []),
        ("10.0.0.5", False, True, [], ["candlekeep.W003"]),
        ("127.0.0.1", False, False, ["10.0.0.5"], ["candlekeep.W004"]),
        ("127.0.0.1", False, True, ["10.0.0.5"], []),
        ("127.0.0.1", True, True, ["10.0.0.5"], []),
    ],
)
def test_reading_is_open_to_others_on_purpose_only(
    settings: Any, host: str, required: bool, given: bool, proxies: list[str], found: list[str]
) -> None:
    settings.HOST, settings.REQUIRE_API_KEY, settings.REQUIRE_API_KEY_GIVEN = host, required, given
    settings.TRUSTED_PROXIES = [ip_network(proxy) for proxy in proxies]
    assert ids(checks.open_reading()) == found


@pytest.mark.parametrize(
    ("hosts", "public", "found"),
    [
        (["127.0.0.1", "localhost", "10.0.0.5", "nas.local", "*"], "", []),
        (["candles.example.org"], "", ["candlekeep.W007"]),
        ([".example.org"], "", ["candlekeep.W007"]),
        (["93.184.215.14"], "", ["candlekeep.W007"]),
        (["candles.example.org"], "https://candles.example.org", []),
    ],
)
def test_a_public_name_without_the_address_of_it_is_a_warning(
    settings: Any, hosts: list[str], public: str, found: list[str]
) -> None:
    settings.ALLOWED_HOSTS, settings.PUBLIC_URL = hosts, public
    assert ids(checks.public_name_without_address()) == found


@pytest.mark.parametrize(
    ("public", "streams", "found"),
    [
        ("", "", []),
        ("http://localhost:8000", "http://localhost:8000", []),
        ("http://10.0.0.5:8000", "http://10.0.0.5:8000", []),
        ("http://candles.example.org", "http://candles.example.org", ["candlekeep.W008"]),
        ("https://candles.example.org", "https://candles.example.org", []),
        ("https://candles.example.org", "http://candles.example.org:8001", ["candlekeep.E005"]),
    ],
)
def test_a_public_address_without_tls_is_a_warning_and_streams_without_it_beside_one_are_an_error(
    settings: Any, public: str, streams: str, found: list[str]
) -> None:
    settings.PUBLIC_URL, settings.PUBLIC_HOST, settings.SSE_URL = public, host_of(public), streams
    settings.BEHIND_TLS = public.startswith("https")
    assert ids(checks.public_address_in_the_clear()) == found


@pytest.mark.parametrize(
    ("tls", "host", "proxies", "found"),
    [
        (True, "127.0.0.1", [], []),
        (True, "10.0.0.5", [], ["candlekeep.E006"]),
        (True, "10.0.0.5", ["10.0.0.6"], []),
        (False, "10.0.0.5", [], []),
    ],
)
def test_a_tls_proxy_of_another_machine_must_be_known(
    settings: Any, tls: bool, host: str, proxies: list[str], found: list[str]
) -> None:
    settings.BEHIND_TLS, settings.HOST = tls, host
    settings.TRUSTED_PROXIES = [ip_network(proxy) for proxy in proxies]
    assert ids(checks.known_tls_proxy()) == found


@pytest.mark.parametrize(
    ("everybody", "required", "found"), [(True, False, ["candlekeep.W005"]), (True, True, []), (False, False, [])]
)
def test_any_page_that_may_read_without_a_key_is_a_warning(
    settings: Any, everybody: bool, required: bool, found: list[str]
) -> None:
    settings.CORS_ALLOW_ALL_ORIGINS, settings.REQUIRE_API_KEY = everybody, required
    assert ids(checks.any_page()) == found


@pytest.mark.parametrize(
    ("network", "found"), [("0.0.0.0/0", ["candlekeep.W006"]), ("::/0", ["candlekeep.W006"]), ("10.0.0.0/8", [])]
)
def test_believing_everybody_to_be_a_proxy_is_a_warning(settings: Any, network: str, found: list[str]) -> None:
    settings.TRUSTED_PROXIES = [ip_network(network)]
    assert ids(checks.believable_proxies()) == found
