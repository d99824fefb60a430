"""Drive one of our providers against a simulated venue: its stream over a real socket, its calls over HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar, cast

import websocket

from ingestion.providers.answers import Answer, CandlePage, CandlesAsked, Request, TradePage, TradesAsked, Trouble
from ingestion.providers.events import Event, Subscribed, TradeSeen, Unsubscribed
from ingestion.providers.port import Provider, Stream
from tests.support.simulator import VenueAddress

Kind = TypeVar("Kind")
MAX_FRAMES = 200_000


class VenueClient:
    """One connection of a provider to its venue, with every event that it has read."""

    def __init__(self, web: websocket.WebSocket, stream: Stream) -> None:
        self.web, self.stream = web, stream
        self.events: list[Event] = []

    def subscribe(self, *subs: str) -> None:
        """Ask for channels and read until each is confirmed."""
        self._ask(self.stream.subscribe(subs), Subscribed, subs)

    def unsubscribe(self, *subs: str) -> None:
        """End channels and read until each has ended."""
        self._ask(self.stream.unsubscribe(subs), Unsubscribed, subs)

    def _ask(self, frames: Sequence[bytes], kind: type[Subscribed | Unsubscribed], subs: Sequence[str]) -> None:
        before = sum(isinstance(event, kind) and event.sub in subs for event in self.events)
        for frame in frames:
            self.web.send(frame)
        self.until(kind, lambda event: event.sub in subs, before + len(subs))

    def read(self) -> tuple[Event, ...]:
        """Read one frame; empty when it says nothing, or when the venue has closed the connection."""
        with suppress(websocket.WebSocketConnectionClosedException):
            received = self.web.recv()
            raw = received.encode() if isinstance(received, str) else received
            if raw:
                found = self.stream.read_frame(raw)
                self.events += found
                return found
        return ()

    def until(self, kind: type[Kind], wanted: object = None, count: int = 1) -> list[Kind]:
        """Return the events of a kind (for which `wanted` is true) up to the one that makes it so many."""
        found = [event for event in self.events if _fits(event, kind, wanted)]
        for _ in range(MAX_FRAMES):
            if len(found) >= count:
                return found  # type: ignore[return-value]
            found += [event for event in self.read() if _fits(event, kind, wanted)]
        raise AssertionError(f"{len(found)} of {count} {kind.__name__} in {MAX_FRAMES} frames")

    def until_closed(self) -> None:
        """Read on until the venue closes the connection."""
        while self.web.connected:
            self.read()

    def trades(self, sub: str) -> list[TradeSeen]:
        """Return the trades of a channel that were read, in order."""
        return [event for event in self.events if isinstance(event, TradeSeen) and event.sub == sub]


def _fits(event: object, kind: type[object], wanted: object) -> bool:
    return isinstance(event, kind) and (not callable(wanted) or bool(wanted(event)))


@contextmanager
def connected(provider: Provider, address: VenueAddress, timeout: float = 20) -> Iterator[VenueClient]:
    """Connect a provider to its venue."""
    web = websocket.create_connection(address.ws_url, timeout=timeout)
    try:
        yield VenueClient(web, provider.stream())
    finally:
        with suppress(OSError, websocket.WebSocketException):
            web.close()
        web.shutdown()


def call(address: VenueAddress, request: Request, **headers: str) -> Answer:
    """Make a call, and return what came back, of whatever kind."""
    asked = urllib.request.Request(address.rest_url + request.path, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
            return Answer(answer.status, cast("Mapping[str, str]", answer.headers), answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, cast("Mapping[str, str]", refusal.headers), refusal.read())


def trade_pages(provider: Provider, address: VenueAddress, asked: TradesAsked) -> list[TradePage]:
    """Return all pages of trades; an answer that is none fails."""
    history, cursor, pages = provider.history, None, list[TradePage]()
    while True:
        answer = call(address, history.trades_request(asked, cursor))
        page = history.read_trades(asked, cursor, answer)
        assert isinstance(page, TradePage), (page, answer.body[:500])
        pages.append(page)
        if page.cursor is None:
            return pages
        assert page.cursor != cursor, cursor
        cursor = page.cursor


def trades_of(pages: Sequence[TradePage]) -> list[TradeSeen]:
    """Return the trades of pages by rising id."""
    return sorted((trade for page in pages for trade in page.trades), key=lambda trade: int(trade.id))


def read_trades(provider: Provider, address: VenueAddress, asked: TradesAsked) -> TradePage | Trouble:
    """Return what the first page of trades says."""
    return provider.history.read_trades(asked, None, call(address, provider.history.trades_request(asked)))


def read_candles(provider: Provider, address: VenueAddress, asked: CandlesAsked) -> CandlePage | Trouble:
    """Return what a page of candles says."""
    return provider.history.read_candles(asked, call(address, provider.history.candles_request(asked)))
