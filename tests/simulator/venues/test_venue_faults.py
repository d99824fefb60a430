"""Faults of one venue on demand: each does what it says, as our provider reads it, and no longer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import websocket

from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.answers import (
    Blocked,
    MarketState,
    PairList,
    ProviderTime,
    RateLimited,
    TradeMark,
    TradePage,
    TradesAsked,
    Trouble,
    Unavailable,
)
from ingestion.providers.binance.provider import PROVIDER as BINANCE
from ingestion.providers.coinbase.provider import PROVIDER as COINBASE
from ingestion.providers.events import (
    CandleSeen,
    FeedRefused,
    Garbage,
    LastId,
    ReconnectSoon,
    Stamped,
    TradeSeen,
    VenueStatus,
)
from ingestion.providers.kraken.provider import PROVIDER as KRAKEN
from ingestion.providers.okx.provider import PROVIDER as OKX
from ingestion.providers.port import Provider
from tests.support.polling import until
from tests.support.simulator import Simulator, VenueAddress, running_venues
from tests.support.venue_client import VenueClient, call, connected, read_trades, trade_pages, trades_of

MARKETS = {
    "coinbase": "coinbase:BTC-USD",
    "binance": "binance:BTC-USDT",
    "kraken": "kraken:BTC-USD",
    "okx": "okx:BTC-USDT",
}
SUBS = {"coinbase": "BTC-USD", "binance": "BTCUSDT", "kraken": "BTC/USD", "okx": "BTC-USDT"}
PROVIDERS = {"coinbase": COINBASE, "binance": BINANCE, "kraken": KRAKEN, "okx": OKX}
each_venue = pytest.mark.parametrize("name", MARKETS)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    options = (",".join(MARKETS.values()), "--speed", "20", "--no-limits")
    with running_venues(tmp_path_factory.mktemp("faults"), *options) as simulator:
        yield simulator


@pytest.fixture
def simulator(process: Simulator) -> Simulator:
    for name in MARKETS:
        process.fault(f"venues/{name}/reset")
    return process


@pytest.fixture
def provider(name: str) -> Provider:
    return PROVIDERS[name]


@pytest.fixture
def venue(simulator: Simulator, name: str) -> VenueAddress:
    return simulator.venue(name)


@pytest.fixture
def client(provider: Provider, venue: VenueAddress, name: str) -> Iterator[VenueClient]:
    with connected(provider, venue) as client:
        client.subscribe(SUBS[name])
        client.until(TradeSeen, lambda trade: not trade.replayed)
        yield client


def asked_after(client: VenueClient, name: str, at: int = -1) -> TradesAsked:
    """Return what asks for the trades after one that was seen."""
    seen = [trade for trade in client.trades(SUBS[name]) if not trade.replayed][at]
    return TradesAsked(SUBS[name], TradeMark(int(seen.id), seen.ts, seen.last or 0))


def new_ids(client: VenueClient, count: int) -> list[int]:
    """Read so many more live trades, and return their ids in the order in which they came."""
    before = len(client.events)
    found: list[int] = []
    while len(found) < count:
        client.read()
        found = [int(event.id) for event in client.events[before:] if isinstance(event, TradeSeen)]
    return found


def outcome(provider: Provider, venue: VenueAddress, name: str) -> TradePage | Trouble:
    return read_trades(provider, venue, TradesAsked(SUBS[name], None))


@each_venue
def test_lost_trades_leave_a_hole_of_ids_that_the_pages_fill(
    simulator: Simulator, venue: VenueAddress, client: VenueClient, name: str
) -> None:
    simulator.fault(f"venues/{name}/lose", market=MARKETS[name], count=7)
    asked = asked_after(client, name)
    seen = {int(trade.id) for trade in client.trades(SUBS[name])} | set(new_ids(client, 40))
    hole = sorted(set(range(min(seen), max(seen) + 1)) - seen)
    assert len(hole) == 7 and hole == list(range(hole[0], hole[0] + 7))
    paged = trades_of(trade_pages(PROVIDERS[name], venue, asked))
    assert set(hole) <= {int(trade.id) for trade in paged}
    lost = [line for line in simulator.sent() if line["event"] == "lost" and line["venue"] == name]
    assert set(hole) <= {int(id) for line in lost for id in line["ids"]}


@pytest.mark.parametrize("name", ["kraken"])
def test_the_socket_can_leave_out_a_share_of_fills_while_the_pages_have_all(
    simulator: Simulator, venue: VenueAddress, client: VenueClient, name: str
) -> None:
    simulator.fault(f"venues/{name}/omit", seconds=86_400, market=MARKETS[name], share=0.17)
    ids = new_ids(client, 400)[10:]  # the first ones may have been on their way
    left_out = 1 - len(ids) / (ids[-1] - ids[0] + 1)
    assert 0.1 < left_out < 0.25
    simulator.fault(f"venues/{name}/omit", seconds=86_400, market=MARKETS[name], splits=True)
    client.events.clear()
    new_ids(client, 150)
    times = [trade.ts for trade in client.trades(SUBS[name])][20:]
    assert len(times) == len(set(times))


@each_venue
def test_trades_can_come_twice_and_in_another_order(simulator: Simulator, client: VenueClient, name: str) -> None:
    simulator.fault(f"venues/{name}/repeat", market=MARKETS[name], count=5)
    ids = new_ids(client, 60)
    assert len(ids) - len(set(ids)) >= 1 and sorted(set(ids)) == list(range(min(ids), max(ids) + 1))
    simulator.fault(f"venues/{name}/reorder", market=MARKETS[name], count=9)
    ids = new_ids(client, 60)
    assert ids != sorted(ids)
    assert sorted(set(ids)) == list(range(min(ids), max(ids) + 1))


@each_venue
def test_a_share_of_trades_can_come_twice_or_too_early(simulator: Simulator, client: VenueClient, name: str) -> None:
    simulator.fault(f"venues/{name}/disorder", seconds=86_400, share=0.3)
    ids = new_ids(client, 150)[5:]
    assert len(set(ids)) < len(ids) and ids != sorted(ids)
    assert set(range(min(ids) + 3, max(ids) - 3)) <= set(ids)


@each_venue
def test_a_cut_ends_connections_and_refuses_new_ones_for_a_while(
    simulator: Simulator, provider: Provider, venue: VenueAddress, client: VenueClient, name: str
) -> None:
    assert simulator.fault(f"venues/{name}/cut", seconds=60)["cut"] >= 1
    client.until_closed()
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(venue.ws_url, timeout=5)
    assert refused.value.status_code == 503
    with until("a connection", lambda: _try(provider, venue)) as again:
        again.subscribe(SUBS[name])
        again.until(TradeSeen)


def _try(provider: Provider, venue: VenueAddress) -> Any:
    try:
        web = websocket.create_connection(venue.ws_url, timeout=10)
        web.close()
    except websocket.WebSocketBadStatusException:
        return None
    return connected(provider, venue)


def test_a_cut_is_announced_where_the_venue_announces_it(simulator: Simulator) -> None:
    for name, kind in (("binance", ReconnectSoon), ("kraken", VenueStatus), ("okx", ReconnectSoon)):
        with connected(PROVIDERS[name], simulator.venue(name)) as client:
            client.subscribe(SUBS[name])
            simulator.fault(f"venues/{name}/cut", notice=20)
            client.until(kind)
            client.until(TradeSeen, lambda trade: not trade.replayed)  # it goes on until the cut
            client.until_closed()
    status, answer, _ = simulator.exchange("/control/venues/coinbase/cut", {"notice": 1})
    assert status == 400 and "announces no cut" in answer["error"]


@each_venue
def test_connections_can_be_given_a_lifetime(simulator: Simulator, client: VenueClient, name: str) -> None:
    simulator.fault(f"venues/{name}/lifetime", seconds=30)
    client.until_closed()


def test_coinbases_heartbeats_can_lie(simulator: Simulator) -> None:
    with connected(COINBASE, simulator.venue("coinbase")) as client:
        client.subscribe("BTC-USD")
        client.until(LastId)
        simulator.fault("venues/coinbase/statements", seconds=60, kind="ahead", by=5000)
        client.until(LastId, _is_ahead(client, 4000))
        simulator.fault("venues/coinbase/statements", seconds=20, kind="zero")
        began = len(client.events)
        client.until(Stamped, count=sum(isinstance(event, Stamped) for event in client.events) + 8)
        said = [event for event in client.events[began + 5 :] if isinstance(event, LastId | Stamped)]
        assert any(isinstance(event, Stamped) for event in said)
        client.events.clear()
        client.until(LastId)  # it ends by itself
        assert not any(isinstance(event, Garbage) for event in client.events)


def _is_ahead(client: VenueClient, by: int) -> Any:
    return lambda said: said.id > max(int(trade.id) for trade in client.trades("BTC-USD")) + by


def test_binances_candles_can_lie_about_their_last_id(simulator: Simulator) -> None:
    with connected(BINANCE, simulator.venue("binance")) as client:
        client.subscribe("BTCUSDT")
        client.until(TradeSeen)
        simulator.fault("venues/binance/statements", seconds=86_400, kind="ahead", by=9000)
        client.until(LastId, lambda said: said.id > max(trade.last or 0 for trade in client.trades("BTCUSDT")) + 8000)
        simulator.fault("venues/binance/statements", seconds=86_400, kind="zero")
        client.until(CandleSeen, lambda candle: candle.first is None and candle.trades == 0)


@each_venue
def test_a_refused_subscription_is_refused_by_name(
    simulator: Simulator, provider: Provider, venue: VenueAddress, name: str
) -> None:
    simulator.fault(f"venues/{name}/refuse", market=MARKETS[name], seconds=86_400)
    with connected(provider, venue) as client:
        for frame in client.stream.subscribe([SUBS[name]]):
            client.web.send(frame)
        (refused,) = client.until(FeedRefused)
    assert refused.sub == SUBS[name]
    found = provider.catalogue.read_pairs(call(venue, provider.catalogue.pairs_request()))
    assert isinstance(found, PairList) and found.markets[0].state is not MarketState.TRADING


KINDS: dict[str, dict[str, type[Any]]] = {
    "ratelimit": dict.fromkeys(MARKETS, RateLimited),
    "ban": dict.fromkeys(MARKETS, RateLimited),
    "region": dict.fromkeys(MARKETS, Blocked),
    "firewall": dict.fromkeys(MARKETS, Blocked),
    "maintenance": dict.fromkeys(MARKETS, Unavailable),
    "busy": dict.fromkeys(MARKETS, Unavailable),
    "html": dict.fromkeys(MARKETS, Unavailable),
    "garbage": dict.fromkeys(MARKETS, Unavailable),
}


@each_venue
@pytest.mark.parametrize("kind", KINDS)
def test_trouble_of_rest_is_said_as_the_venue_says_it(
    simulator: Simulator, provider: Provider, venue: VenueAddress, name: str, kind: str
) -> None:
    simulator.fault(f"venues/{name}/trouble", kind=kind, seconds=86_400, retry_after=77)
    found = outcome(provider, venue, name)
    assert isinstance(found, KINDS[kind][name]), found
    if isinstance(found, RateLimited):
        assert found.banned == (kind == "ban")
        assert found.retry_after == 77 or name == "kraken" or kind == "ban"
    simulator.fault(f"venues/{name}/reset")
    assert isinstance(outcome(provider, venue, name), TradePage)


@each_venue
def test_trouble_can_hold_for_handshakes_too(
    simulator: Simulator, venue: VenueAddress, name: str, provider: Provider
) -> None:
    simulator.fault(f"venues/{name}/trouble", kind="firewall", seconds=86_400, sockets=True)
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(venue.ws_url, timeout=5)
    assert refused.value.status_code == 403


@each_venue
def test_in_maintenance_nothing_is_sent_and_rest_says_why(
    simulator: Simulator, provider: Provider, venue: VenueAddress, client: VenueClient, name: str
) -> None:
    before = simulator.fault(f"venues/{name}/maintenance", seconds=40)["now_ns"]
    assert isinstance(outcome(provider, venue, name), Unavailable)
    if name == "kraken":
        client.until(VenueStatus, lambda status: not status.trading)
    after = before // 1000 + 40 * SECOND_US
    client.until(TradeSeen, lambda trade: trade.ts >= after)
    silent = [trade for trade in client.trades(SUBS[name]) if before // 1000 < trade.ts < after - 2 * SECOND_US]
    assert silent == []
    if name == "kraken":
        assert [status.trading for status in client.until(VenueStatus)][-2:] == [False, True]


@each_venue
def test_pages_can_begin_elsewhere_than_they_were_asked_to(
    simulator: Simulator, provider: Provider, venue: VenueAddress, client: VenueClient, name: str
) -> None:
    asked = asked_after(client, name)
    new_ids(client, 30)
    request = provider.history.trades_request(asked)
    if name in ("coinbase", "okx"):  # pages go down from what is asked for
        request = provider.history.trades_request(TradesAsked(SUBS[name], None, asked.after))
    sound = call(venue, request).body
    simulator.fault(f"venues/{name}/shift", seconds=86_400, by=3)
    shifted = call(venue, request).body
    first, moved = (_first_id(name, body) for body in (sound, shifted))
    assert moved - first == 3


def _first_id(name: str, body: bytes) -> int:
    found = json.loads(body)
    if name == "kraken":
        return int(found["result"]["XXBTZUSD"][0][6])
    if name == "okx":
        return int(found["data"][0]["tradeId"])
    return int(found[0]["trade_id" if name == "coinbase" else "a"])


@each_venue
def test_a_venue_may_keep_only_its_newest_trades(
    simulator: Simulator, provider: Provider, venue: VenueAddress, client: VenueClient, name: str
) -> None:
    asked = asked_after(client, name, 0)
    assert asked.after
    simulator.fault(f"venues/{name}/keep", market=MARKETS[name], count=20)
    new_ids(client, 60)
    pages = trade_pages(provider, venue, asked)
    assert any(page.floor for page in pages)
    assert len(trades_of(pages)) <= 20
    simulator.fault(f"venues/{name}/keep", market=MARKETS[name])
    assert not any(page.floor for page in trade_pages(provider, venue, asked))


@each_venue
def test_a_venues_clock_can_be_off(simulator: Simulator, provider: Provider, venue: VenueAddress, name: str) -> None:
    simulator.fault(f"venues/{name}/skew", seconds=86_400, offset=-300)
    request = provider.catalogue.time_request()
    assert request
    time = provider.catalogue.read_time(call(venue, request))
    assert isinstance(time, ProviderTime)
    assert simulator.now() - 320 < time.at / SECOND_US < simulator.now() - 290


@each_venue
def test_garbage_is_read_as_such_and_the_feed_goes_on(simulator: Simulator, client: VenueClient, name: str) -> None:
    for kind in ("text", "array", "type"):
        simulator.fault(f"venues/{name}/garbage", kind=kind)
    client.until(Garbage, count=3)
    new_ids(client, 3)


@each_venue
def test_silence_loses_what_was_traded_meanwhile(simulator: Simulator, client: VenueClient, name: str) -> None:
    simulator.fault(f"venues/{name}/silent", seconds=40)
    known = max(int(trade.id) for trade in client.trades(SUBS[name]))
    assert new_ids(client, 30)[-1] > known + 60


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        ("cut", {"seconds": -1}),
        ("lose", {"market": "coinbase:ETH-USD"}),
        ("lose", {}),
        ("trouble", {"seconds": 1, "kind": "nice"}),
        ("statements", {"seconds": 1, "kind": "true"}),
        ("omit", {"seconds": 1, "share": 2}),
        ("skews", {"seconds": 1}),
    ],
)
def test_a_bad_fault_is_refused_and_says_why(simulator: Simulator, fault: str, body: dict[str, Any]) -> None:
    status, answer, _ = simulator.exchange(f"/control/venues/coinbase/{fault}", body)
    assert status in (400, 404) and answer
    status, answer, _ = simulator.exchange("/control/venues/bitmex/reset", {})
    assert (status, answer["error"]) == (404, "the venues served are coinbase, binance, kraken, okx")
