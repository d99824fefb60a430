"""Markets that join and leave an open connection."""

from __future__ import annotations

from datastore.timeframes.intervals import SECOND_US
from streaming.records import FeedClosed, FeedOpened, LiveRecord, Trade, Watermark
from tests.support.ingestion.intake_bench import ETH, T0, Feed, after


def of_eth(feed: Feed, at: float) -> list[LiveRecord]:
    return feed.records(at, "coinbase:ETH-USD")


def leave(feed: Feed, at: float, sub: str = ETH) -> None:
    feed.frame(at, TYPE="17", MESSAGE="UNSUBSCRIBECOMPLETE", SUB=sub)
    feed.frame(at, TYPE="18", MESSAGE="UNSUBSCRIBEALLCOMPLETE", INFO="Removed 1 subs.")


def test_a_market_added_later_claims_only_from_its_own_subscription_on() -> None:
    feed = Feed()
    feed.complete(1)
    assert feed.connection.join(ETH, "coinbase:ETH-USD", (T0 + 100) * SECOND_US)
    assert not feed.connection.join(ETH, "coinbase:ETH-USD", (T0 + 100) * SECOND_US)
    feed.trade(101, "eth", ts=50, ID="old")
    feed.heartbeat(110)
    assert [type(record) for record in of_eth(feed, 110)] == [Trade]
    feed.complete(111, "eth")
    feed.heartbeat(130)
    opened, mark = of_eth(feed, 130)
    assert isinstance(opened, FeedOpened) and isinstance(mark, Watermark)
    assert (after(opened.connected), after(opened.start), opened.n) == (100, 112, 2)
    assert [trade.id for trade in opened.replayed] == ["old"]
    assert (mark.start, after(mark.until)) == (opened.start, 125)


def test_channels_that_differ_by_the_case_of_a_coin_are_two_but_an_exchange_may_be_spelled_otherwise() -> None:
    feed = Feed()
    for base in ("stETH", "STETH"):
        assert feed.connection.join(f"0~Coinbase~{base}~USD", f"coinbase:{base}-USD", T0 * SECOND_US)
    for price, base in enumerate(("stETH", "STETH"), 1):
        feed.frame(1, TYPE="16", MESSAGE="SUBSCRIBECOMPLETE", SUB=f"0~coinbase~{base}~USD")
        feed.trade(2, M="COINBASE", FSYM=base, P=price)
    prices = {record.market: record.price for record in feed.connection.drain() if isinstance(record, Trade)}
    assert prices == {"coinbase:stETH-USD": 1, "coinbase:STETH-USD": 2}
    assert not feed.connection.rejected


def test_what_is_still_on_its_way_of_a_market_that_was_left_is_dropped() -> None:
    feed = Feed()
    feed.connection.join(ETH, "coinbase:ETH-USD", T0 * SECOND_US)
    feed.complete(1, "btc", "eur", "eth")
    feed.heartbeat(20)
    of_eth(feed, 20)
    assert feed.connection.leave(ETH) and not feed.connection.leave(ETH)
    feed.trade(21, "eth")
    (closed,) = of_eth(feed, 21)
    assert isinstance(closed, FeedClosed)
    assert (after(closed.stop), closed.reason) == (15, "no longer followed")
    assert not feed.connection.rejected and feed.connection.refusal is None


def test_a_market_is_not_joined_again_before_its_last_subscription_has_ended() -> None:
    feed = Feed()
    feed.connection.join(ETH, "coinbase:ETH-USD", T0 * SECOND_US)
    feed.connection.leave(ETH)
    feed.complete(1, "eth")  # the answer to the first subscription: it opens nothing
    assert not feed.connection.join(ETH, "coinbase:ETH-USD", (T0 + 1) * SECOND_US)
    leave(feed, 2)
    assert feed.connection.join(ETH, "coinbase:ETH-USD", (T0 + 3) * SECOND_US)
    assert of_eth(feed, 3) == []
    feed.complete(4, "eth")
    (opened,) = of_eth(feed, 4)
    assert isinstance(opened, FeedOpened) and opened.n == 1
    assert feed.connection.refusal is None


def test_the_end_of_a_subscription_that_nobody_asked_for_ends_the_connection() -> None:
    feed = Feed()
    feed.complete(1)
    leave(feed, 2, "0~Coinbase~BTC~USD")
    assert feed.connection.refusal is not None
    assert "ended the subscription" in feed.connection.refusal.reason


def test_a_subscription_too_many_is_refused_alone() -> None:
    feed = Feed()
    feed.connection.join(ETH, "coinbase:ETH-USD", T0 * SECOND_US)
    feed.frame(1, TYPE="429", MESSAGE="TOO_MANY_SUBSCRIPTIONS_MAX_600_PER_SOCKET", PARAMETER=ETH, INFO="Remove some.")
    assert feed.connection.refusal is None
    assert [item.market for item in feed.connection.rejected] == ["coinbase:ETH-USD"]
