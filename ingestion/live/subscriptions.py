"""What the live Producer is to carry, and to which topics: read from the rows of markets and dynamic topics."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import NamedTuple

from datastore.models import DynamicTopic, Market
from ingestion.providers.cryptocompare.stream import subscription
from streaming.topics import TICK_DATA

State = DynamicTopic.State
SHOWN_STATES = (*DynamicTopic.ROUTED, State.RETIRING)
_CHANNEL = ("provider_exchange", "provider_base", "provider_quote")
RouteKey = tuple[str, str]  # (market's symbol, topic)


class TopicRow(NamedTuple):
    """A dynamic topic that is to be routed, or whose route is to end."""

    id: int
    name: str
    state: str
    refused: bool  # it has a route_error
    routed: bool  # it has routed_at
    ended: bool  # it has route_ended_at
    symbol: str
    channel: str  # the provider's name of the market's trades

    @property
    def is_routed(self) -> bool:
        """Tell whether the market's records are to go to this topic."""
        return self.state in DynamicTopic.ROUTED and not self.refused


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """What is to be carried where."""

    channels: dict[str, str]  # the provider's channel -> symbol, of all that is followed or routed
    routes: frozenset[RouteKey]
    topics: tuple[TopicRow, ...]

    @property
    def channel_of(self) -> dict[str, str]:
        """Return the channel by symbol."""
        return {symbol: channel for channel, symbol in self.channels.items()}


NO_SUBSCRIPTIONS = Subscriptions({}, frozenset(), ())


def read_subscriptions(given_up: Container[str] = ()) -> Subscriptions:
    """Return what is wanted now; topics that were given up are routed no more, whatever their rows say."""
    topics = _topic_rows()
    routed = [row for row in topics if row.is_routed and row.name not in given_up]
    followed = {
        subscription(*channel): symbol
        for symbol, *channel in Market.objects.filter(followed=True).values_list("symbol", *_CHANNEL)
    }
    return Subscriptions(
        followed | {row.channel: row.symbol for row in routed},
        frozenset((symbol, TICK_DATA.name) for symbol in followed.values())
        | {(row.symbol, row.name) for row in routed},
        topics,
    )


def _topic_rows() -> tuple[TopicRow, ...]:
    rows = DynamicTopic.objects.filter(state__in=SHOWN_STATES).order_by("id")
    times = ("route_error", "routed_at", "route_ended_at")
    market = ("market__symbol", *(f"market__{name}" for name in _CHANNEL))
    return tuple(
        TopicRow(
            pk, name, state, error is not None, routed is not None, ended is not None, symbol, subscription(*channel)
        )
        for pk, name, state, error, routed, ended, symbol, *channel in rows.values_list(
            "pk", "name", "state", *times, *market
        )
    )


@dataclass(frozen=True, slots=True)
class ChannelChange:
    """Channels to leave, channels to join with their markets' symbols."""

    leave: list[str]
    join: dict[str, str]


def channel_change(held: dict[str, str], wanted: dict[str, str]) -> ChannelChange:
    """Return what is to be changed of the channels that are held."""
    # A name that only its capitals tell from one that is held is the same channel, unless that one was refused: then
    # it is worth another try.
    still = {sub.lower() for sub in wanted}
    return ChannelChange(
        [sub for sub in held if sub.lower() not in still],
        {sub: symbol for sub, symbol in wanted.items() if sub not in held},
    )
