"""A market remembers its provider for good, and what is final, whole and equal is decided by that provider's traits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from datastore.models import Market
from datastore.reference import provider_registry
from datastore.reference.markets import ensure_markets
from datastore.reference.provider_clock import save_clock, saved_clock
from datastore.reference.provider_registry import UnknownProvider, provider_of, register, traits_of
from datastore.reference.traits import Resolution, Traits
from datastore.series.reader import read_series
from ingestion.providers.cryptocompare.traits import TRAITS
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, MINUTE, NOON, moment

AGES = {60: Resolution(timedelta(minutes=10)), 3600: Resolution(timedelta(hours=1)), 86_400: Resolution(timedelta(1))}
SLOW = replace(
    TRAITS, name="slow", venues=("kraken",), spellings=None, candles=replace(TRAITS.candles, resolutions=AGES)
)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traits]:
    monkeypatch.setattr(provider_registry, "_registered", {TRAITS.name: TRAITS})
    register([SLOW])
    yield SLOW


def test_the_first_provider_that_delivers_a_venue_is_the_markets(slow: Traits) -> None:
    both = [slow.name, TRAITS.name]
    assert [provider_of(venue, both).name for venue in ("kraken", "coinbase")] == ["slow", "cryptocompare"]
    assert provider_of("kraken", [TRAITS.name, slow.name]) is TRAITS
    with pytest.raises(UnknownProvider, match="none of the providers slow delivers markets of 'coinbase'"):
        provider_of("coinbase", ["slow"])
    with pytest.raises(UnknownProvider, match="no provider 'nobody'; there are: cryptocompare, slow"):
        traits_of("nobody")


@pytest.mark.django_db
def test_a_market_keeps_the_provider_that_it_was_made_with(slow: Traits, settings: Any) -> None:
    settings.PROVIDERS = [slow.name, TRAITS.name]
    made = ensure_markets(["kraken:BTC-EUR", BTC])
    assert [(market.provider, market.provider_exchange) for market in made] == [
        ("slow", "kraken"),
        ("cryptocompare", "Coinbase"),
    ]
    settings.PROVIDERS = [TRAITS.name]
    assert [market.provider for market in ensure_markets(["kraken:BTC-EUR", BTC])] == ["slow", "cryptocompare"]


def test_a_minute_is_pending_for_as_long_as_its_own_providers_answers_may_be_old(
    slow: Traits, provider_time: ProviderTime
) -> None:
    """Twelve minutes after noon: one provider's answers are a minute old at most, the other's ten."""
    provider_time.set(NOON + 12 * MINUTE)
    save_clock(slow.name, saved_clock("cryptocompare").clock_offset)  # type: ignore[union-attr,arg-type]
    quick, late = ensure_markets([BTC, "kraken:BTC-EUR"])
    Market.objects.filter(pk=late.pk).update(provider=slow.name)
    Market.objects.update(watermark=moment(NOON + 12 * MINUTE))
    late.refresh_from_db()
    found = {}
    for market in (quick, late):
        series = read_series(market, "1m", moment(NOON), moment(NOON + 12 * MINUTE))
        found[market.symbol] = [
            (segment.state, round((segment.stop - series.start) / timedelta(minutes=1))) for segment in series.segments
        ]
    assert found == {BTC: [("gap", 11), ("pending", 12)], "kraken:BTC-EUR": [("gap", 2), ("pending", 12)]}
