"""A venue's limits: counted, enforced in the venue's own words unless they are switched off, and reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import websocket

from ingestion.providers.answers import RateLimited, TradePage, TradesAsked, Trouble
from ingestion.providers.binance.provider import PROVIDER as BINANCE
from ingestion.providers.coinbase.provider import PROVIDER as COINBASE
from ingestion.providers.kraken.provider import PROVIDER as KRAKEN
from ingestion.providers.okx.provider import PROVIDER as OKX
from ingestion.providers.port import Provider
from simulator.venues.limits import Bucket, Window
from tests.support.simulator import Simulator, running_venues
from tests.support.venue_client import call, connected, read_trades

MARKETS = "coinbase:BTC-USD,binance:BTC-USDT,binanceus:BTC-USD,kraken:BTC-USD,okx:BTC-USDT"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running_venues(tmp_path_factory.mktemp("limits"), MARKETS) as simulator:
        yield simulator


def limit(simulator: Simulator, venue: str, name: str) -> dict[str, Any]:
    (found,) = [row for row in simulator.get("/control/venues")[venue]["limits"] if row["limit"] == name]
    return dict(found)


def ask(simulator: Simulator, provider: Provider, sub: str, times: int) -> list[TradePage | Trouble]:
    venue = simulator.venue(provider.name)
    return [read_trades(provider, venue, TradesAsked(sub, None)) for _ in range(times)]


def test_a_bucket_lets_through_a_burst_and_then_its_rate() -> None:
    bucket = Bucket("calls", 10, 15)
    assert [bucket.take(1000.0) for _ in range(17)] == [True] * 15 + [False] * 2
    assert [bucket.take(1000.1), bucket.take(1000.1)] == [True, False]
    figures = bucket.report()
    assert (figures["taken"], figures["peak"], figures["exceeded"]) == (19, 19, 3)


def test_a_window_counts_weights_until_the_next_one_begins() -> None:
    window = Window("weight", 60, 100)
    assert [window.take(at, 40) for at in (60.0, 61.0, 119.9, 120.0)] == [True, True, False, True]
    assert (window.used, window.left_s(150.0)) == (40, 30)
    figures = window.report()
    assert (figures["taken"], figures["peak"], figures["exceeded"]) == (160, 120, 1)


def ask_until_refused(simulator: Simulator, provider: Provider) -> tuple[int, RateLimited]:
    """Ask for the time until that is refused; return how often it was not, and the refusal."""
    catalogue, venue = provider.catalogue, simulator.venue(provider.name)
    request = catalogue.time_request()
    assert request
    for answered in range(1000):
        found = catalogue.read_time(call(venue, request))
        if isinstance(found, RateLimited):
            return answered, found
    raise AssertionError("1000 calls, and none was refused")


def test_coinbase_refuses_more_than_a_burst_of_calls(simulator: Simulator) -> None:
    answered, refusal = ask_until_refused(simulator, COINBASE)
    assert answered >= 15 and not refusal.banned
    figures = limit(simulator, "coinbase", "calls")
    assert (figures["taken"], figures["exceeded"]) == (answered + 1, 1)


def test_kraken_refuses_more_than_a_call_a_second_with_http_200(simulator: Simulator) -> None:
    answered, refusal = ask_until_refused(simulator, KRAKEN)
    assert answered >= 2 and refusal.reason == "EGeneral:Too many requests"
    assert limit(simulator, "kraken", "calls")["exceeded"] == 1


def test_okx_refuses_more_than_twenty_calls_in_two_seconds(simulator: Simulator) -> None:
    answered, refusal = ask_until_refused(simulator, OKX)
    assert answered >= 20 and not refusal.banned and refusal.reason == "Too Many Requests (50011)"
    assert limit(simulator, "okx", "calls")["exceeded"] == 1


def test_binance_counts_weights_says_them_and_bans_who_goes_on(simulator: Simulator) -> None:
    venue = simulator.venue("binanceus")
    provider = BINANCE
    request = provider.catalogue.pairs_request()
    used = [int(call(venue, request).headers["X-MBX-USED-WEIGHT-1M"]) for _ in range(2)]
    assert request.weight == 20 and used[1] - used[0] in (20, 20 - used[0])  # unless a minute began
    seen: list[RateLimited] = []
    for _ in range(200):
        answered = provider.catalogue.read_pairs(call(venue, request))
        if isinstance(answered, RateLimited):
            seen.append(answered)
        if seen and seen[-1].banned:
            break
    assert not seen[0].banned and seen[0].retry_after <= 60
    assert seen[-1].banned and seen[-1].retry_after >= 110
    figures = limit(simulator, "binanceus", "weight")
    assert figures["peak"] > figures["most"] == 1200 and figures["exceeded"] >= len(seen) - 1


def test_a_client_that_sends_too_many_messages_is_cut_or_told_so(simulator: Simulator) -> None:
    with connected(BINANCE, simulator.venue("binance")) as client:
        for number in range(8):
            client.web.send(f'{{"method":"LIST_SUBSCRIPTIONS","id":{number}}}')
        client.until_closed()
    assert limit(simulator, "binance", "messages of a connection")["exceeded"] >= 1
    with connected(COINBASE, simulator.venue("coinbase")) as client:
        for _ in range(150):
            client.web.send("{}")
        texts = [str(client.web.recv()) for _ in range(150)]
    assert any("rate limit exceeded" in text for text in texts)


def test_who_does_not_subscribe_to_coinbase_in_time_is_cut(simulator: Simulator) -> None:
    with connected(COINBASE, simulator.venue("coinbase")) as client:
        client.until_closed()
        assert client.events == []


def test_connections_are_counted_and_refused(simulator: Simulator) -> None:
    """In a simulator of its own, since other tests would be refused after it."""
    with running_venues(simulator.home / "connections", MARKETS) as busy:
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            for _ in range(60):
                with connected(COINBASE, busy.venue("coinbase")):
                    pass
        assert refused.value.status_code == 429
        figures = limit(busy, "coinbase", "connections")
        assert figures["taken"] > 20 and figures["exceeded"] >= 1


def test_without_limits_all_is_counted_and_nothing_refused(simulator: Simulator) -> None:
    with running_venues(simulator.home / "unlimited", MARKETS, "--no-limits") as free:
        for provider, sub in ((COINBASE, "BTC-USD"), (BINANCE, "BTCUSDT"), (KRAKEN, "BTC/USD")):
            assert all(isinstance(each, TradePage) for each in ask(free, provider, sub, 40))
        assert limit(free, "kraken", "calls")["exceeded"] >= 1
        assert free.get("/control/venues")["kraken"]["rest_calls"] == {"/0/public/Trades": 40}
