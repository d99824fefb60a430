"""What every provider of the table has to do, CryptoCompare as much as a venue."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.reference.pairs import Listed
from datastore.timeframes.timeframe import BASE, MINUTE_S
from ingestion.providers.answers import Answer, Blocked, CandlesAsked, RateLimited, Trouble, Unauthorized, why
from ingestion.providers.events import FeedRefused
from ingestion.providers.port import Provider
from ingestion.providers.table import PROVIDERS

NOON = 1_795_435_200_000_000
DATE = {"Date": "Mon, 23 Nov 2026 12:00:41 GMT"}
every_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
answers = st.builds(
    Answer,
    st.sampled_from([200, 400, 401, 403, 404, 418, 429, 451, 500, 503]),
    st.sampled_from([DATE, {}, {"Date": "soon", "Retry-After": "x"}]),
    st.binary(max_size=200) | st.sampled_from([b"[]", b"{}", b"[[]]", b'{"Data":[7]}', b'{"result":[]}', b"null"]),
)


def pair_at(provider: Provider) -> Listed:
    venue = (provider.traits.venues or ("coinbase",))[0]
    return Listed(provider.traits.spelling_of(venue), "BTC", "USD")


def asked_of(provider: Provider) -> CandlesAsked:
    sub = provider.names.sub_of(pair_at(provider))
    return CandlesAsked(sub, MINUTE_S, NOON - 60_000_000 * provider.traits.candles.rows_per_page, NOON)


def outcomes(provider: Provider, answer: Answer) -> list[Any]:
    """Return what an answer is to each question that the provider knows."""
    asked = asked_of(provider)
    found: list[Any] = [provider.history.read_candles(asked, answer), provider.catalogue.read_pairs(answer)]
    if provider.catalogue.time_request():
        found.append(provider.catalogue.read_time(answer))
    if provider.allowance:
        found.append(provider.allowance.read_left(answer))
    return found


@every_provider
def test_its_traits_say_all_that_is_read_of_them(provider: Provider) -> None:
    traits = provider.traits
    assert PROVIDERS[traits.name] is provider
    assert set(traits.candles.resolutions) == set(BASE)
    assert {host.serves for host in traits.hosts} == {"rest", "stream"}
    assert len({host.setting for other in PROVIDERS.values() for host in other.traits.hosts}) == 2 * len(PROVIDERS)
    assert traits.limits.calls or traits.limits.weights
    assert traits.needs_key == bool(provider.key_setting)
    assert traits.proofs and traits.terms.endswith(".")


@every_provider
def test_a_pair_has_one_channel_and_the_channel_that_pair_if_it_tells(provider: Provider) -> None:
    sub = provider.names.sub_of(pair_at(provider))
    assert provider.names.pair_of(sub) in (pair_at(provider), None)  # Binance runs base and quote together
    assert provider.channel_key(sub) == provider.channel_key(provider.channel_key(sub))


@every_provider
def test_a_channel_is_asked_for_and_ended_by_frames_of_json(provider: Provider) -> None:
    stream, sub = provider.stream(), provider.names.sub_of(pair_at(provider))
    for messages in (stream.subscribe([sub]), stream.unsubscribe([sub])):
        assert messages and all(isinstance(json.loads(message), dict) for message in messages)


@every_provider
def test_a_page_of_candles_is_a_path_of_its_host(provider: Provider) -> None:
    request = provider.history.candles_request(asked_of(provider))
    assert request.path.startswith("/") and request.weight >= 1


@every_provider
@given(raw=st.binary(max_size=200) | st.text(max_size=60).map(str.encode))
def test_no_frame_raises(provider: Provider, raw: bytes) -> None:
    assert isinstance(provider.stream().read_frame(raw), tuple)


@every_provider
@given(answer=answers)
def test_no_answer_raises_and_what_is_none_is_named(provider: Provider, answer: Answer) -> None:
    for outcome in outcomes(provider, answer):
        assert not isinstance(outcome, Trouble) or outcome.reason


@every_provider
@pytest.mark.parametrize(("status", "kinds"), [(429, RateLimited), (403, Unauthorized | Blocked), (502, Trouble)])
def test_a_status_is_told_apart_whatever_the_page_says(provider: Provider, status: int, kinds: type) -> None:
    page = Answer(status, DATE, b"<!DOCTYPE html><html><title>sorry</title></html>")
    assert all(isinstance(outcome, kinds) for outcome in outcomes(provider, page))


def test_a_reason_says_what_to_do_where_that_is_known() -> None:
    assert why(Blocked("HTTP 451", "use another provider")) == "HTTP 451; use another provider"
    assert why(FeedRefused("401", "no such key")) == "no such key"
