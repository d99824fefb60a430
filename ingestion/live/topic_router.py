"""Where a connection's records go: to topics, each of which gets a feed of its own.

Pure. A connection makes each market's records once; a route copies them to one topic, with that feed's name, its own
numbers from 1, and claims that never reach back before what this topic carried. A route that begins with the market's
subscription carries its replay too; one that begins later opens its feed there and then. Times are microseconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from streaming.ends import EndCode
from streaming.records import MAX_TEXT_LENGTH, FeedClosed, FeedOpened, LiveRecord, Watermark


@dataclass(slots=True)
class Route:
    """One market's records on their way to one topic."""

    topic: str
    feed: str
    n: int  # of the newest record
    start: int | None = None  # of the open span
    stop: int | None = None  # what it has proven so far
    floor: int = 0  # nothing before this may be claimed

    def open(self, market: str, start: int) -> FeedOpened:
        """Begin on a subscription that is complete: nothing is replayed, so nothing before is proven."""
        self.start = self.floor = start
        self.n += 1
        return FeedOpened(market=market, feed=self.feed, n=self.n, connected=start, start=start)

    def carry(self, record: LiveRecord) -> LiveRecord | None:
        """Return the record as this topic gets it; None if it says nothing here."""
        if type(record) is Watermark:
            start = max(record.start, self.floor)
            if self.start is None or start > self.start:
                self.start, self.stop = start, None  # a new span begins after an end
            elif record.until <= (self.stop or self.start):
                return None
            else:
                self.stop = record.until
            return self._numbered(record if record.start == start else replace(record, start=start))
        if type(record) is FeedClosed:
            return self.close(record.market, record.reason, record.certain, record.code)
        if type(record) is FeedOpened:
            self.start, self.stop = record.start, None
        return self._numbered(record)

    def close(
        self, market: str, reason: str, certain: int | None = None, code: str = EndCode.OTHER.value
    ) -> FeedClosed | None:
        """End the open span and take back what was claimed after `certain`; None if there is nothing to end."""
        start, stop = certain if self.start is None else self.start, self.stop
        if start is None:
            return None
        self.start = self.stop = None
        self.n += 1
        reason = reason[:MAX_TEXT_LENGTH]  # the provider's own words may be longer than a record's text
        return FeedClosed(
            market=market,
            feed=self.feed,
            n=self.n,
            start=start,
            stop=stop,
            reason=reason,
            code=code,
            certain=certain,
        )

    def _numbered(self, record: LiveRecord) -> LiveRecord:
        self.n += 1
        if record.n == self.n and record.feed == self.feed:
            return record  # the usual case, and records are many
        return replace(record, feed=self.feed, n=self.n)


class TopicRouter:
    """All routes of one connection, and the records that they have made."""

    def __init__(self, connection: str = "") -> None:
        """Route the records of the connection of this name; a router without a name has no routes."""
        self.connection = connection
        self._routes: dict[str, dict[str, Route]] = {}  # market -> topic -> route
        self._numbers: dict[tuple[str, str], int] = {}  # of ended routes by (market, topic): a feed goes on counting
        self._made: defaultdict[str, list[LiveRecord]] = defaultdict(list)

    @property
    def route_keys(self) -> set[tuple[str, str]]:
        """Return (market, topic) of every route."""
        return {(market, topic) for market, routes in self._routes.items() for topic in routes}

    @property
    def topics(self) -> set[str]:
        """Return the topics that have a route."""
        return {topic for routes in self._routes.values() for topic in routes}

    def carries(self, market: str, topic: str) -> bool:
        """Return whether a market's records go to a topic."""
        return topic in self._routes.get(market, ())

    def topics_of(self, market: str) -> tuple[str, ...]:
        """Return the topics that a market's records go to."""
        return tuple(self._routes.get(market, ()))

    def markets_of(self, topic: str) -> list[str]:
        """Return the markets whose records go to a topic."""
        return [market for market, routes in self._routes.items() if topic in routes]

    def begin(self, market: str, topic: str, start: int | None = None) -> None:
        """Carry a market to a topic from now on.

        start: from when on it may claim, if the market's subscription is complete (MarketConnection.claim_start); None
        if the subscription is yet to come, so that all of its replay is carried.
        """
        n = self._numbers.pop((market, topic), 0)
        route = self._routes.setdefault(market, {})[topic] = Route(topic, f"{topic}/{self.connection}", n)
        if start is not None:
            self._made[topic].append(route.open(market, start))

    def end(self, market: str, topic: str, reason: str, code: EndCode = EndCode.OTHER) -> None:
        """Carry nothing more; an open span ends where it was last proven."""
        route = self._routes[market].pop(topic)
        if not self._routes[market]:
            del self._routes[market]
        if closed := route.close(market, reason, code=code.value):
            self._made[topic].append(closed)
        self._numbers[market, topic] = route.n

    def send(self, records: Iterable[LiveRecord]) -> None:
        """Carry these records, in order, to the topics of their markets."""
        for record in records:
            for route in self._routes.get(record.market, _NO_ROUTES).values():
                if carried := route.carry(record):
                    self._made[route.topic].append(carried)

    def drain(self) -> dict[str, list[LiveRecord]]:
        """Return the records made since the last call, by topic."""
        made, self._made = self._made, defaultdict(list)
        return made


_NO_ROUTES: dict[str, Route] = {}
