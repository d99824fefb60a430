"""What one kline stream sends again, and what it forgets."""

from __future__ import annotations

import json

from datastore.access.stream_tickets import Ticket
from datastore.sse.binance.kline_follower import MAX_CLOSED, MAX_UNCLOSED, KlineFollower
from datastore.sse.binance.names import stream_name
from datastore.sse.cursor import Cursor, ReadTime
from datastore.sse.messages import Block

MINUTE_MS = 60_000


def shown(follower: KlineFollower, *minutes: int, closed: bool = False, close: str = "1") -> list[int]:
    """Return which of these minutes are sent."""
    rows = {
        at * MINUTE_MS: json.dumps([at * MINUTE_MS, "1", "1", "1", close, "1", "1", 1, "live", closed, 1])
        for at in minutes
    }
    follower.begin(Block(ReadTime(1, 1, 1), Cursor("epoch", 1, None), b"", candles=rows))
    return [row[0] // MINUTE_MS for _, row in follower.take()]


def follower_of_minutes() -> KlineFollower:
    ticket = Ticket(1, "coinbase:BTC-USD", "1m", 2, None, None, None, None, "", "", False)
    return KlineFollower(ticket, stream_name("btcusd@kline_1m"), "BTCUSD", lambda _: None)


def test_a_closed_candle_is_sent_again_if_its_numbers_change_and_only_where_it_was_sent() -> None:
    follower = follower_of_minutes()
    assert shown(follower, 5, closed=True) == [5]
    assert shown(follower, 4, 5, closed=True) == []
    assert shown(follower, 4, 5, closed=True, close="2") == [5]
    assert shown(follower, 5, closed=True, close="2") == []
    assert shown(follower, 5, close="3") == [5]  # it is not proven any more
    assert shown(follower, 5, closed=True, close="3") == [5]
    for minute in range(6, 6 + MAX_CLOSED):
        assert shown(follower, minute, closed=True) == [minute]
    assert shown(follower, 5, 6, closed=True, close="4") == [6]


def test_a_candle_that_never_closes_is_not_remembered_without_end() -> None:
    follower = follower_of_minutes()
    last = MAX_UNCLOSED + 1
    for minute in range(1, last + 1):
        assert shown(follower, minute) == [minute]
    assert shown(follower, 1, 2, last, closed=True) == [2, last]
    assert shown(follower, 2, last) == []
