"""Which provider is meant: by a market's row, by the settings, and by what a Producer was refused with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from actor_runtime.models import ERROR
from datastore.models import Market
from datastore.reference import provider_registry
from datastore.reference.markets import ensure_markets
from datastore.reference.provider_registry import register, traits_of
from datastore.reference.traits import CallWindow, Host
from ingestion.history.pool import ROLE, blocking_error, ensure_pool
from ingestion.history.provider_quota import quota_of
from ingestion.live.subscriptions import read_subscriptions
from ingestion.models import Producer
from ingestion.provider_access import REST, STREAM, access_of
from ingestion.providers.port import Provider
from ingestion.providers.table import PROVIDERS, configured

CRYPTOCOMPARE = PROVIDERS["cryptocompare"]
OTHER_HOSTS = (
    Host("rest", "OTHER_REST_URL", "https://rest.example"),
    Host("stream", "OTHER_WS_URL", "wss://ws.example"),
)
OTHER = replace(
    CRYPTOCOMPARE,
    traits=replace(
        CRYPTOCOMPARE.traits,
        name="other",
        hosts=OTHER_HOSTS,
        limits=replace(CRYPTOCOMPARE.traits.limits, calls=(CallWindow(10, 5), CallWindow(60, 20)), counted_as=""),
    ),
    key_setting="",
)


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Provider]:
    monkeypatch.setitem(PROVIDERS, OTHER.name, OTHER)
    monkeypatch.setattr(provider_registry, "_registered", {})
    register(provider.traits for provider in PROVIDERS.values())
    for host in OTHER_HOSTS:
        setattr(settings, host.setting, "")
    yield OTHER


def test_the_datastore_knows_every_provider_of_the_table() -> None:
    for name, provider in PROVIDERS.items():
        assert (provider.name, traits_of(name)) == (name, provider.traits)
    assert [provider.name for provider in configured()] == ["cryptocompare"]


def test_a_host_is_what_its_setting_says_or_the_providers_own_where_prices_are_live(
    other: Provider, settings: Any
) -> None:
    settings.LIVE = True
    settings.CRYPTOCOMPARE_REST_URL, settings.CRYPTOCOMPARE_API_KEY = "http://here:1", "sesame"
    access = access_of(CRYPTOCOMPARE, REST)
    assert (access.url, access.key, access.headers) == ("http://here:1", "sesame", {"Authorization": "Apikey sesame"})
    assert access_of(other, STREAM).url == "wss://ws.example"
    settings.LIVE = False
    assert access_of(other, STREAM).url == "", "without an address that is set, nothing but a simulator may be asked"
    assert access_of(other, REST).key == ""


def test_calls_are_limited_by_the_providers_traits_unless_a_setting_says_otherwise(
    other: Provider, settings: Any
) -> None:
    def limits(provider: Provider) -> dict[str, int]:
        return {name: left.limit for name, left in quota_of(provider.traits).remaining().items()}

    assert limits(CRYPTOCOMPARE) == {"second": 15, "minute": 280, "hour": 2_900, "day": 7_000}
    assert limits(other) == {"10 s": 5, "minute": 20}
    settings.PROVIDER_CALLS_PER_MINUTE = 7
    assert limits(CRYPTOCOMPARE)["minute"] == limits(other)["minute"] == 7


@pytest.mark.django_db
def test_a_provider_is_asked_for_the_markets_that_are_its_own(other: Provider) -> None:
    ensure_markets(["coinbase:BTC-USD", "kraken:BTC-EUR"])
    Market.objects.filter(symbol="kraken:BTC-EUR").update(provider=other.name)
    found = {name: read_subscriptions(provider).channels for name, provider in PROVIDERS.items()}
    assert found["cryptocompare"] == {"0~Coinbase~BTC~USD": "coinbase:BTC-USD"}
    assert found["other"] == {"0~Kraken~BTC~EUR": "kraken:BTC-EUR"}


@pytest.mark.django_db
def test_a_key_that_one_provider_refuses_holds_up_only_its_own_jobs(other: Provider, settings: Any) -> None:
    settings.CRYPTOCOMPARE_REST_URL, settings.CRYPTOCOMPARE_API_KEY = "http://here:1", "sesame"
    ensure_pool()
    refused = access_of(CRYPTOCOMPARE, REST).fingerprint
    row = Producer.objects.filter(role=ROLE).order_by("name")[:1]
    Producer.objects.filter(pk__in=row.values("pk")).update(
        state=ERROR, last_error="the key is wrong", refused_access=refused
    )
    assert "the key is wrong" in (blocking_error(CRYPTOCOMPARE) or "")
    assert blocking_error(other) is None
