"""What the live Producer is to carry, and to which topics: read from the rows of markets and dynamic topics."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from datastore.models import DynamicTopic, Market, Pair
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
    producer: str  # that published to it last

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
    unlisted: Mapping[str, str] = field(default_factory=dict)  # symbol -> why it is not asked for at all

    def of(self, channels: dict[str, str]) -> Subscriptions:
        """Return the part of it that concerns these channels."""
        symbols = set(channels.values())
        return replace(self, channels=channels, routes=frozenset(key for key in self.routes if key[0] in symbols))

    def topic_of(self, market: str | None) -> str:
        """Return the topic to name for something refused of a market: the fixed one unless only streams want it."""
        topics = sorted(topic for symbol, topic in self.routes if symbol == market)
        return TICK_DATA.name if TICK_DATA.name in topics or not topics else topics[0]


NO_SUBSCRIPTIONS = Subscriptions({}, frozenset(), (), {})


def read_subscriptions(
    provider: Provider, given_up: Container[str] = (), is_ours: Callable[[str], bool] = lambda producer: True
) -> Subscriptions:
    """Return what is wanted of a provider now; topics that were given up are not routed, whatever their rows say.

    is_ours: returns whether we carry a topic whose row names this Producer. The channels of the others are taken too,
    so that we can carry them from one moment to the next.
    """
    rows = DynamicTopic.objects.filter(state__in=_SHOWN_STATES, market__provider=provider.name).order_by("id")
    fields = ("pk", "name", "state", "route_error", "routed_at", "route_ended_at", "market__symbol", "producer")
    channel_fields = (f"market__{name}" for name in _CHANNEL_FIELDS)
    pairs: dict[Listed, str] = {}
    topics: list[TopicRow] = []
    for pk, name, state, error, routed, ended, symbol, producer, *channel in rows.values_list(*fields, *channel_fields):
        pairs[Listed(*channel)] = symbol
        sub = provider.names.sub_of(Listed(*channel))
        flags = (error is not None, routed is not None, ended is not None)
        topics.append(TopicRow(pk, name, state, *flags, symbol, sub, producer))
    markets = Market.objects.filter(followed=True, provider=provider.name).values_list(
        "symbol", "refusal", *_CHANNEL_FIELDS
    )
    refusals: dict[str, str | None] = {}
    followed: dict[str, str] = {}
    for symbol, refusal, *channel in markets:
        pairs[Listed(*channel)] = symbol
        followed[provider.names.sub_of(Listed(*channel))] = symbol
        refusals[symbol] = refusal
    unlisted = _unlisted(provider, pairs)
    wanted = [row for row in topics if row.is_routed and row.name not in given_up]
    ours = tuple(row for row in topics if is_ours(row.producer))
    routes = {(symbol, TICK_DATA.name) for symbol in followed.values()}
    routes |= {(row.symbol, row.name) for row in wanted if row in ours}
    channels = followed | {row.channel: row.symbol for row in wanted}
    return Subscriptions(
        {sub: symbol for sub, symbol in channels.items() if symbol not in unlisted},
        frozenset(key for key in routes if key[0] not in unlisted),
        ours,
        refusals,
        unlisted,
    )


def _unlisted(provider: Provider, pairs: Mapping[Listed, str]) -> dict[str, str]:
    """Return why markets (pair -> symbol) are not asked for.

    Only where the provider accepts any name and then stays silent; without a list of its pairs nothing is known.
    """
    known = Pair.objects.filter(provider=provider.name, active=True)
    if not (pairs and provider.traits.stream.refuses_silently and known.exists()):
        return {}
    found = known.filter(provider_base__in={pair.base for pair in pairs}).values_list(*_CHANNEL_FIELDS)
    listed = {Listed(*row) for row in found}
    return {
        symbol: f"{provider.name} does not list {provider.names.sub_of(pair)}: take a market of its list of pairs"
        for pair, symbol in pairs.items()
        if pair not in listed
    }


def spread(held: Sequence[Iterable[str]], wanted: Mapping[str, str], room: int | None) -> list[dict[str, str]]:
    """Return which channels (-> symbol) share a connection, at most `room` of them; those that are held stay there.

    held: the channels of each connection now; one that is left without any stays in its place.
    """
    parts = [{sub: wanted[sub] for sub in part if sub in wanted} for part in held]
    placed = {sub for part in parts for sub in part}
    for sub, symbol in wanted.items():
        if sub in placed:
            continue
        part = next((part for part in parts if room is None or len(part) < room), None)
        if part is None:
            part = {}
            parts.append(part)
        part[sub] = symbol
    return parts


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
