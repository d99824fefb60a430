"""What makes a venue: its names, how it counts trades, its limits, its socket and its REST."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from simulator.pairs import Pair
from simulator.provider import Provider
from simulator.replay import Replay
from simulator.trades import Source
from simulator.venues.feed import Feed
from simulator.venues.ledger import Ledger
from simulator.venues.limits import Limit
from simulator.venues.rest import VenueRest
from simulator.venues.session import serve
from simulator.venues.venue import Market, Venue


@dataclass(frozen=True, slots=True)
class Protocol:
    """One venue's protocol. stream_path: what the address of its stream ends with; more_streams: its other paths."""

    name: str
    stream_path: str
    name_of: Callable[[Pair], str]
    ledger: Callable[[Source], Ledger]
    limits: Callable[[], Mapping[str, Limit]]
    feed: Callable[[Venue], Feed]
    rest: Callable[[Venue], VenueRest]
    more_streams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """A venue that is served: its application runs on a port of its own, its feed takes turns."""

    venue: Venue
    feed: Feed
    app: Starlette


def serve_venue(protocol: Protocol, provider: Provider, limited: bool) -> Served:
    """Return a venue with the provider's markets of its name; raise ValueError if a recording's ids do not rise."""
    found = {}
    for pair, source in provider.sources.items():
        if pair.exchange == protocol.name:
            if isinstance(source, Replay) and not source.ids_rise:
                raise ValueError(f"the recording's ids do not rise with its times: {pair} cannot be served as a venue")
            name = protocol.name_of(pair)
            found[name] = Market(name, pair, source, protocol.ledger(source))
    venue = Venue(protocol.name, provider, found, protocol.limits(), limited)
    feed, rest = protocol.feed(venue), protocol.rest(venue)

    async def stream(web: WebSocket) -> None:
        await serve(web, feed, rest)

    streams = [WebSocketRoute(path, stream) for path in (protocol.stream_path, *protocol.more_streams)]
    app = Starlette(routes=[*rest.routes(), *streams])
    return Served(venue, feed, app)
