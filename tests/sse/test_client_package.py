"""candlekeep-client follows a real stream process, by both of its clients."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from candlekeep_client import Client, Snapshot

from datastore.sse.cursor import UNREADABLE_CURSOR
from datastore.sse.server import StreamServer
from tests.support.clients.follower import Follower
from tests.support.polling import until
from tests.support.sse.scenario import MarketScenario

pytestmark = pytest.mark.django_db(transaction=True)


def test_both_clients_show_each_change_once_whatever_connection_brings_it(
    live_server: Any, server: StreamServer, scenario: MarketScenario
) -> None:
    with Client(live_server.url) as ck:
        known = ck.candles(scenario.market.symbol, "1m", limit=20, gaps="allow")
    with (
        Follower(live_server.url, known, waits=True) as one,
        Follower(live_server.url, known, waits=False) as other,
    ):
        for price in (11, 12):
            until("both are there", lambda: len(server.hub._followers) == 2, 30)
            scenario.trade(0, price)
            for follower in (one, other):
                until("the change", lambda it=follower, now=price: (it.newest() or known[0]).close == now, 30)
            for connection in list(server.hub._followers):
                connection.close()  # as a restarted process does
        until("both are there", lambda: len(server.hub._followers) == 2, 30)
        for follower in (one, other):
            follower.leave()
        scenario.trade(0, 14)
    for follower in (one, other):
        assert (follower.repeated, follower.snapshots) == ([], [])


def test_without_a_place_a_snapshot_comes_first(
    live_server: Any, server: StreamServer, scenario: MarketScenario
) -> None:
    with Client(live_server.url) as ck:
        symbol = scenario.market.symbol
        with closing(ck.follow(symbol, "1m", limit=20)) as following:
            first = next(following)
        assert isinstance(first, Snapshot) and first.reason is None
        assert first.candles.rows == ck.candles(symbol, "1m", limit=20, gaps="allow").rows
        with closing(ck.follow(symbol, "1m", cursor="nonsense")) as following:
            first = next(following)
        assert isinstance(first, Snapshot) and first.reason == UNREADABLE_CURSOR
