"""What is peculiar to Coinbase Exchange. Frames and rows here are made up in its documented shape."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from ingestion.providers.answers import (
    CandlesAsked,
    ListedMarket,
    MarketState,
    PairList,
    TradePage,
    TradesAsked,
    Unavailable,
)
from ingestion.providers.coinbase.provider import PROVIDER
from ingestion.providers.coinbase.stream import CoinbaseStream
from ingestion.providers.events import Event, FeedRefused, Garbage, LastId, Stamped, Subscribed, TradeSeen, Unsubscribed
from tests.support.ingestion.venues import COINBASE_VENUE, Made, answer, query_of

VENUE = COINBASE_VENUE


def read(frame: dict[str, object] | str, stream: CoinbaseStream | None = None) -> tuple[Event, ...]:
    raw = frame if isinstance(frame, str) else json.dumps(frame)
    return (stream or CoinbaseStream()).read_frame(raw.encode())


def heartbeat(last: object, time: str = "2026-08-25T03:35:59.150000Z") -> dict[str, object]:
    return {"type": "heartbeat", "last_trade_id": last, "product_id": "BTC-USD", "sequence": 1, "time": time}


def test_a_session_states_the_hole_before_it_the_trades_and_the_quiet_after_them() -> None:
    stream = CoinbaseStream()
    events = [event for raw in VENUE.frames() for event in stream.read_frame(raw)]
    trades = [event for event in events if isinstance(event, TradeSeen)]
    assert [(trade.id, trade.replayed) for trade in trades] == [
        ("5000000001", True), ("5000000002", False), ("5000000003", False),
    ]  # fmt: skip
    assert [trade.side for trade in trades] == [1, -1, -1]  # the maker sold, then bought
    assert trades[0].amount == Decimal("0.00000001") and trades[0].ts == 1_787_628_957_081_254
    assert events[0] == Subscribed("BTC-USD")
    said = [event.id for event in events if isinstance(event, LastId)]
    assert said == [5_000_000_001, 5_000_000_003]  # the one that does not know says nothing


@pytest.mark.parametrize("last", [0, -5])
def test_a_heartbeat_that_does_not_know_the_last_id_only_shows_the_time(last: int) -> None:
    assert read(heartbeat(last)) == (Stamped(1_787_628_959_150_000),)


def test_a_heartbeat_may_be_ahead_of_its_trades_and_is_passed_on_as_it_is() -> None:
    assert read(heartbeat(7))[1] == LastId("BTC-USD", 7, 1_787_628_959_150_000)


def test_a_heartbeat_without_a_time_proves_nothing() -> None:
    (garbage,) = read(heartbeat(7, "yesterday"))
    assert isinstance(garbage, Garbage) and garbage.sub == "BTC-USD"


def test_a_ticker_is_no_trade_for_it_skips_ids() -> None:
    (garbage,) = read({"type": "ticker", "product_id": "BTC-USD", "trade_id": 5, "price": "1", "last_size": "1"})
    assert isinstance(garbage, Garbage) and "ticker" in garbage.reason


def test_a_refusal_names_the_product_and_one_without_is_of_the_connection() -> None:
    stream = CoinbaseStream()
    frames = stream.subscribe(["BTC-USD", "FOO-BAR"])
    assert len(frames) == 2  # one that is not listed would refuse the other as well
    (refused,) = read(
        '{"type":"error","message":"Failed to subscribe","reason":"FOO-BAR is not a valid product"}', stream
    )
    assert isinstance(refused, FeedRefused) and (refused.sub, refused.http_status) == ("FOO-BAR", 400)
    (slow,) = read('{"type":"error","message":"ErrSlowConsume"}', stream)
    assert isinstance(slow, FeedRefused) and slow.sub is None and "too slowly" in slow.remedy
    (limited,) = read('{"type":"error","message":"Rate limit exceeded"}', stream)
    assert isinstance(limited, FeedRefused) and limited.http_status == 429


def test_every_list_of_subscriptions_is_whole_and_only_the_changes_are_told() -> None:
    stream = CoinbaseStream()

    def listed(*products: str) -> tuple[Event, ...]:
        channels = [{"name": "heartbeat", "product_ids": ["X-Y"]}, {"name": "matches", "product_ids": products}]
        return read({"type": "subscriptions", "channels": channels}, stream)

    assert listed("A-USD") == (Subscribed("A-USD"),)
    assert listed("A-USD", "B-USD") == (Subscribed("B-USD"),)
    assert listed("B-USD") == (Unsubscribed("A-USD"),)
    assert listed("B-USD") == ()


def test_pages_go_down_from_the_newest_and_stop_above_the_known_trade() -> None:
    history = PROVIDER.history
    known, above = Made(10, 1_787_626_680_000_000).mark, Made(2000, 1_787_626_690_000_000).mark
    assert history.trades_request(TradesAsked("BTC-USD", known)).path == "/products/BTC-USD/trades?limit=1000"
    asked = TradesAsked("BTC-USD", known, above)
    assert history.trades_request(asked).path == "/products/BTC-USD/trades?limit=1000&after=2000"
    assert history.trades_request(asked, "1000").path.endswith("&after=1000")


def test_candles_are_asked_for_by_the_starts_of_the_first_and_the_last() -> None:
    asked = CandlesAsked("BTC-USD", 60, 1_787_626_680_000_000, 1_787_626_800_000_000)
    assert query_of(PROVIDER.history.candles_request(asked).path) == {
        "granularity": "60", "start": "2026-08-25T02:58:00+00:00", "end": "2026-08-25T02:59:00+00:00",
    }  # fmt: skip


def test_a_refusal_of_a_product_that_was_left_is_of_that_product() -> None:
    stream = CoinbaseStream()
    stream.subscribe(["FOO-BAR"])
    stream.unsubscribe(["FOO-BAR"])
    (refused,) = read('{"type":"error","message":"Failed","reason":"FOO-BAR is not a valid product"}', stream)
    assert isinstance(refused, FeedRefused) and refused.sub == "FOO-BAR"


def test_trailing_zeros_make_no_other_trade_of_a_page() -> None:
    row = VENUE.row_of(Made(7, 1_787_626_680_000_000))
    other = row | {"price": row["price"] + "00"}
    page = PROVIDER.history.read_trades(TradesAsked("BTC-USD", None), None, answer(json.dumps([row, other])))
    assert isinstance(page, TradePage) and (len(page.trades), page.garbage) == (1, ())


@pytest.mark.parametrize("message", ["under maintenance", "Cancel only mode"])
def test_maintenance_is_said_in_the_venues_words(message: str) -> None:
    body = json.dumps({"message": message})
    for status in (200, 503):
        found = PROVIDER.history.read_trades(TradesAsked("BTC-USD", None), None, answer(body, status))
        assert found == Unavailable(message)


def test_a_product_that_only_cancels_is_halted_and_a_delisted_one_is_no_pair() -> None:
    found = PROVIDER.catalogue.read_pairs(answer(VENUE.pairs))
    assert isinstance(found, PairList)
    by_name: dict[str, ListedMarket] = {market.pair.symbol: market for market in found.markets}
    assert by_name["coinbase:BTC-USD"].lot == Decimal("0.00000001")
    assert (by_name["coinbase:ETH-EUR"].state, by_name["coinbase:ETH-EUR"].word) == (MarketState.HALTED, "cancel_only")
    assert "coinbase:OLD-USD" not in {pair.symbol for pair in found.pairs}
