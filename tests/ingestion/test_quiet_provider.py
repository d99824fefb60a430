"""A provider that does not say its time while nothing is traded, and waits for our sign of life."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import replace
from typing import Any

import pytest

from datastore.timeframes.intervals import SECOND_US
from ingestion.live.clock_estimate import boot_seconds
from ingestion.live.market_connection import MarketConnection
from ingestion.live.socket_reader import Frame
from ingestion.live.timekeeping import Timekeeper
from ingestion.providers.okx.provider import PROVIDER as OKX
from ingestion.providers.port import Provider
from streaming.records import FeedClosed, Watermark
from tests.support.ingestion.sockets import greet
from tests.support.ingestion.venues import OKX_VENUE, Made

T0 = 1_800_000_000 * SECOND_US
GRACE = 5 * SECOND_US
ENDED_AFTER = 200  # seconds in which nothing is traded


def connection_of(provider: Provider) -> MarketConnection:
    time = Timekeeper(provider.name)
    return MarketConnection(provider, {"BTC-USDT": "okx:BTC-USDT"}, time, grace=GRACE, retention=86_400 * SECOND_US)


def frame(raw: object, at: float) -> Frame:
    text = raw if isinstance(raw, str) else json.dumps(raw)
    return Frame(at, text.encode())


def trade_at(second: int, began: float) -> Frame:
    return frame(OKX_VENUE.frame_of(Made(700 + second, T0 + second * SECOND_US)), began + second)


@pytest.mark.parametrize(("stamps_quiet", "ends"), [(False, False), (True, True)])
def test_a_quiet_time_without_stamps_ends_a_span_only_where_stamps_were_due(stamps_quiet: bool, ends: bool) -> None:
    traits = replace(OKX.traits, stream=replace(OKX.traits.stream, stamps_quiet=stamps_quiet))
    connection, began = connection_of(replace(OKX, traits=traits)), boot_seconds() - ENDED_AFTER
    subscribed = frame({"event": "subscribe", "arg": {"channel": "trades-all", "instId": "BTC-USDT"}}, began)
    connection.read([subscribed, trade_at(1, began), trade_at(3, began), trade_at(10, began)])
    connection.read([frame("pong", began + 100), trade_at(ENDED_AFTER, began)])
    records = connection.drain()
    assert any(isinstance(record, FeedClosed) for record in records) == ends
    assert (connection.lost is not None) == ends
    claimed = [record.until for record in records if isinstance(record, Watermark)]
    assert (max(claimed) == T0 + ENDED_AFTER * SECOND_US - GRACE) == (not ends)


def sent_by(peer: socket.socket, found: list[bytes]) -> None:
    """Collect the short masked frames that a client sends, until two have come."""
    got = b""
    with peer:
        peer.settimeout(20)
        while len(found) < 2:
            got += peer.recv(4096)
            while len(got) >= 2 and len(got) >= (end := 6 + (got[1] & 127)):
                mask, body = got[2:6], got[6:end]
                found.append(bytes(byte ^ mask[place % 4] for place, byte in enumerate(body)))
                got = got[end:]


def test_a_sign_of_life_is_sent_before_the_first_trade(settings: Any) -> None:
    found: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.OKX_WS_URL = f"ws://127.0.0.1:{server.getsockname()[1]}/"
        settings.OKX_REST_URL = settings.OKX_WS_URL.replace("ws", "http")
        peer = threading.Thread(target=lambda: sent_by(greet(server), found))
        peer.start()
        connection = connection_of(OKX)
        connection.start()
        connection.read(connection.wait(10, 1))
        peer.join(20)
        connection.close()
    assert [json.loads(found[0])["op"], *found[1:]] == ["subscribe", b"ping"]
