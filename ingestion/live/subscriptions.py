"""What the live Producer is to carry, and to which topics: read from the rows of markets and dynamic topics."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import NamedTuple

from datastore.models import DynamicTopic, Market
from datastore.reference.pairs import Listed
from ingestion.providers.port import Provider
from streaming.topics import TICK_DATA

State = DynamicTopic.State
RouteKey = tuple[str, str]  # (market's symbol, topic)
_SHOWN_STATES = (*DynamicTopic.ROUTED, State.RETIRING)
_CHANNEL_FIELDS = ("provider_exchange", "provider_base", "provider_quote")


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
        """Return whether the market's records are to go to this topic."""
        return self.state in DynamicTopic.ROUTED and not self.refused


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """What is to be carried where."""

    channels: dict[str, str]  # the provider's channel -> symbol, of all that is followed or routed
    routes: frozenset[RouteKey]
    topics: tuple[TopicRow, ...]
    refusals: dict[str, str | None]  # of each followed market, as its row has it

    def topic_of(self, market: str | None) -> str:
        """Return the topic to name for something refused of a market: the fixed one unless only streams want it."""
        topics = sorted(topic for symbol, topic in self.routes if symbol == market)
        return TICK_DATA.name if TICK_DATA.name in topics or not topics else topics[0]


NO_SUBSCRIPTIONS = Subscriptions({}, frozenset(), (), {})


def read_subscriptions(provider: Provider, given_up: Container[str] = ()) -> Subscriptions:
    """Return what is wanted of a provider now; topics that were given up are not routed, whatever their rows say."""
    rows = DynamicTopic.objects.filter(state__in=_SHOWN_STATES, market__provider=provider.name).order_by("id")
    fields = ("pk", "name", "state", "route_error", "routed_at", "route_ended_at", "market__symbol")
    channel_fields = (f"market__{name}" for name in _CHANNEL_FIELDS)
    topics = tuple(
        TopicRow(
            pk,
            name,
            state,
            error is not None,
            routed is not None,
            ended is not None,
            symbol,
            provider.names.sub_of(Listed(*channel)),
        )
        for pk, name, state, error, routed, ended, symbol, *channel in rows.values_list(*fields, *channel_fields)
    )
    markets = Market.objects.filter(followed=True, provider=provider.name).values_list(
        "symbol", "refusal", *_CHANNEL_FIELDS
    )
    refusals: dict[str, str | None] = {}
    followed: dict[str, str] = {}
    for symbol, refusal, *channel in markets:
        followed[provider.names.sub_of(Listed(*channel))] = symbol
        refusals[symbol] = refusal
    routed_rows = [row for row in topics if row.is_routed and row.name not in given_up]
    routes = {(symbol, TICK_DATA.name) for symbol in followed.values()}
    routes |= {(row.symbol, row.name) for row in routed_rows}
    channels = followed | {row.channel: row.symbol for row in routed_rows}
    return Subscriptions(channels, frozenset(routes), topics, refusals)


@dataclass(frozen=True, slots=True)
class ChannelChange:
    """Channels to leave, and channels to join with their markets' symbols."""

    leave: list[str]
    join: dict[str, str]


def channel_change(held: dict[str, str], wanted: dict[str, str], key_of: Callable[[str], str]) -> ChannelChange:
    """Return how to get from the channels that are held to those that are wanted (channel -> symbol).

    key_of: returns what a channel is found by. One that is held in another spelling is the same one, unless that one
    was refused: then it is worth another try.
    """
    still_wanted = {key_of(sub) for sub in wanted}
    return ChannelChange(
        [sub for sub in held if key_of(sub) not in still_wanted],
        {sub: symbol for sub, symbol in wanted.items() if sub not in held},
    )
