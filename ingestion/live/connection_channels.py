"""The channels of one connection: asked for, complete, left and refused, each with the feed of its market.

A channel is found by its key, the same for all its spellings. Times are the provider's, in microseconds; `local` ones
are seconds since this machine's boot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from ingestion.live.market_feed import MarketFeed
from ingestion.live.subscriptions import ChannelChange, channel_change
from ingestion.providers.answers import why
from ingestion.providers.events import FeedRefused, Unsubscribed

RETRY_REFUSED_AFTER_S = 300.0  # local seconds until a refused channel is asked for again
REFUSED_REASON = "the provider refuses the subscription"


class ConnectionChannels:
    """Which channels one connection has, and what became of each."""

    def __init__(self, asked: Mapping[str, str], feed: str, grace: int, key_of: Callable[[str], str]) -> None:
        """Ask for these channels (the provider's name -> our symbol).

        feed: the connection's name in records. grace: how far claims stay behind the newest stamp.
        """
        self.asked = dict(asked)  # the refused ones included
        self.feeds: dict[str, MarketFeed] = {}  # by key
        self.refused: list[tuple[str, str]] = []  # markets whose subscription was refused just now, for others to clear
        self.refusals: dict[str, str] = {}  # why markets are refused, until a subscription of theirs is complete
        self.feed, self._grace, self._key_of = feed, grace, key_of
        self._leaving: set[str] = set()  # channels whose end the provider has not confirmed
        self._left: set[str] = set()  # channels that were ever left
        self._retry_at: dict[str, float] = {}  # local time, by market that was refused
        self._numbers: dict[str, int] = {}  # of the newest record of a market that has left, by symbol

    @property
    def subscribed(self) -> set[str]:
        """Return the markets whose subscription is complete."""
        return {feed.market for feed in self.feeds.values() if feed.subscribed}

    def open(self, connected: int) -> None:
        """Begin the feeds of all channels; connected: when the socket opened."""
        self.feeds = {
            self._key_of(sub): MarketFeed(symbol, self.feed, connected, self._grace)
            for sub, symbol in self.asked.items()
        }

    def find(self, sub: str | None) -> MarketFeed | None:
        """Return the feed of a channel, None if it is not here or was refused."""
        return self.feeds.get(self._key_of(sub)) if sub else None

    def is_leaving(self, sub: str) -> bool:
        """Return whether a channel was left, and may still send what was on its way."""
        return self._key_of(sub) in self._leaving

    def complete(self, feed: MarketFeed) -> None:
        """Note that a subscription is complete."""
        self.refusals.pop(feed.market, None)

    def join(self, sub: str, symbol: str, now: int) -> bool:
        """Add a market about to be subscribed to; False if it is here, or its last subscription has not ended yet."""
        key = self._key_of(sub)
        if key in self.feeds or key in self._leaving:
            return False
        # A trade that was received before this moment came by an earlier subscription.
        feed = MarketFeed(symbol, self.feed, now, self._grace)
        feed.n = self._numbers.pop(symbol, 0)
        self.feeds[key] = feed
        return True

    def leave(self, sub: str) -> None:
        """Remove a market whose span has ended; what is still on its way is dropped."""
        key = self._key_of(sub)
        feed = self.feeds.pop(key)
        self._numbers[feed.market] = feed.n
        self._leaving.add(key)
        self._left.add(key)

    def confirm_left(self, event: Unsubscribed) -> bool:
        """Take the provider's word that a channel has ended; False if we did not ask for that, and now lack trades."""
        key = self._key_of(event.sub) if event.sub else None
        if key in self._leaving:
            self._leaving.discard(key)
            return True
        return key is None and bool(self._left)

    def refuse(self, event: FeedRefused, local: float) -> tuple[str, str, bool] | None:
        """Take the refusal of a channel: return market, reason, and whether it is news; None if it is of no channel."""
        key = self._key_of(event.sub) if event.sub else ""
        feed = self.feeds.pop(key, None)
        if feed is None:
            return None
        symbol, reason = feed.market, f"{REFUSED_REASON}: {why(event)}"
        self._numbers[symbol] = feed.n
        is_news = self.refusals.get(symbol) != reason  # one dead letter, however often it is tried again
        self.refusals[symbol] = reason
        self._retry_at[symbol] = local + RETRY_REFUSED_AFTER_S
        self.refused.append((symbol, reason))
        return symbol, reason, is_news

    def was_left(self, event: FeedRefused) -> bool:
        """Return whether a refusal is of a channel that we left: it was not subscribed to, so nothing is to leave."""
        key = self._key_of(event.sub) if event.sub else ""
        if key not in self._left:
            return False
        self._leaving.discard(key)
        return True

    def change_to(self, wanted: dict[str, str], retry: Set[str], local: float) -> ChannelChange:
        """Return which channels to leave and to join; those that are refused are tried again when their time has come.

        retry: markets whose time it is now.
        """
        still_wanted = set(wanted.values())
        self.refusals = {symbol: reason for symbol, reason in self.refusals.items() if symbol in still_wanted}
        due = retry | {symbol for symbol, at in self._retry_at.items() if local >= at}
        self.asked = {
            sub: symbol for sub, symbol in self.asked.items() if symbol not in due or self._key_of(sub) in self.feeds
        }
        return channel_change(self.asked, wanted, self._key_of)
