"""A made-up provider whose every trade is known, a connection that hears some of them, and routes that come and go.

Time is in milliseconds behind the scenario's beginning. What a topic proves is held against all trades there ever were.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from datastore.ingest.feed_sequence import FeedSequence, FeedSpan, apply
from datastore.timeframes.intervals import SECOND_US
from ingestion.live.clock_estimate import ClockEstimate
from ingestion.live.topic_router import TopicRouter
from streaming.records import FeedOpened, LiveRecord, Trade
from tests.support.ingestion.intake_bench import T0, opened_connection

CHANNELS = {"BTC": "0~Coinbase~BTC~USD", "ETH": "0~Coinbase~ETH~USD"}
SYMBOLS = {market: f"coinbase:{market}-USD" for market in CHANNELS}
FIXED = "tick-data"
AHEAD = 900  # ms; a trade stamped further ahead is known to a subscription only while it lasts
REPLAY = 2


def micros(at: int) -> int:
    """Return a time of the scenario as the records have it."""
    return T0 * SECOND_US + at * 1000


class Happened(NamedTuple):
    """A trade at the venue, whether we heard of it or not."""

    id: str
    ts: int  # ms
    discovered: int  # ms
    subscription: int  # that stood then, 0: none did


@dataclass
class Line:
    """One market on the connection in hand."""

    subscribed: bool = False  # asked for
    stands: int = 0  # number of the subscription that is complete, 0: none is


@dataclass
class RouterScenario:
    """Everything, one step after the other."""

    now: int = 0
    clock: ClockEstimate = field(default_factory=ClockEstimate)
    happened: dict[str, list[Happened]] = field(default_factory=lambda: defaultdict(list))
    published: dict[str, list[LiveRecord]] = field(default_factory=lambda: defaultdict(list))
    made: list[LiveRecord] = field(default_factory=list)  # by the connections
    begins: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))  # (micros, number)
    wanted: set[tuple[str, str]] = field(default_factory=set)
    connections: int = 0
    subscriptions: int = 0

    def __post_init__(self) -> None:
        self.clock.observe(micros(0), micros(0))
        self._connect()

    def _connect(self) -> None:
        self.connections += 1
        name = f"c{self.connections}"
        self.lines = {market: Line() for market in CHANNELS}
        self.routes = TopicRouter(name)
        self.connection = opened_connection({}, self.clock, micros(self.now))
        self.connection.channels.feed = f"{FIXED}/{name}"
        self.left: set[str] = set()
        self.follow()

    # --- steps ---

    def trade(self, market: str, late: int, *, lost: str = "") -> None:
        """Let a trade happen that is stamped so many ms before now (or ahead); lost: how its frame is spoiled."""
        line = self.lines[market]
        number = len(self.happened[market])
        one = Happened(f"{market}{number}", self.now - late, self.now, line.stands)
        self.happened[market].append(one)
        if line.stands and lost == "unreadable":
            self._frame_of(b"\x00")
        elif line.stands:
            self._send(market, one, P=-1 if lost else 100)

    def heartbeat(self) -> None:
        """Let the provider tell its time."""
        self._frame(TYPE="999", TIMEMS=T0 * 1000 + self.now)

    def complete(self, market: str) -> None:
        """Replay the newest trades of a subscription that was asked for, and let it stand."""
        line = self.lines[market]
        if not line.subscribed or line.stands:
            return
        for one in self.happened[market][-REPLAY:]:
            self._send(market, one)
        self._frame(TYPE="16", SUB=CHANNELS[market])
        self.subscriptions += 1
        line.stands = self.subscriptions
        self.begins[market].append((micros(self.now), line.stands))

    def want(self, market: str, topic: str) -> None:
        """Begin or end the carrying of a market to a topic, as soon as may be."""
        self.wanted ^= {(market, topic)}
        self.follow()

    def confirm(self) -> None:
        """Let the provider confirm the subscriptions that were left."""
        for market in sorted(self.left):
            self._frame(TYPE="17", SUB=CHANNELS[market])
        self.left.clear()
        self.follow()

    def reconnect(self) -> None:
        """Lose the socket and open another."""
        self.connection.end_spans("socket lost")
        self.publish()
        self._connect()

    # --- what the Producer does ---

    def follow(self) -> None:
        """Do what a connection does when it is notified what is wanted."""
        self._hand_on()
        held = {(market, topic) for market in CHANNELS for topic in self.routes.topics_of(SYMBOLS[market])}
        for market, topic in sorted(held - self.wanted):
            self.routes.end(SYMBOLS[market], topic, "not wanted any more")
        for market in CHANNELS:
            self._change_channel(market)
        for market, topic in sorted(self.wanted):
            start = self.connection.claim_start(CHANNELS[market], micros(self.now))
            if start is not None and topic not in self.routes.topics_of(SYMBOLS[market]):
                self.routes.begin(SYMBOLS[market], topic, start)

    def _change_channel(self, market: str) -> None:
        line, topics = self.lines[market], sorted(topic for of, topic in self.wanted if of == market)
        if line.subscribed and not topics:
            assert self.connection.leave(CHANNELS[market])
            self.lines[market] = Line()
            self.left.add(market)
        elif (
            topics and not line.subscribed and self.connection.join(CHANNELS[market], SYMBOLS[market], micros(self.now))
        ):
            line.subscribed = True
            for topic in topics:
                self.routes.begin(SYMBOLS[market], topic)

    def publish(self) -> None:
        """Claim what is proven, and publish all there is."""
        self.connection.claim(self.now / 1000, micros(self.now))
        self._hand_on()
        for topic, records in self.routes.drain().items():
            self.published[topic] += records

    def _hand_on(self) -> None:
        records = self.connection.drain()
        self.made += records
        self.routes.send(records)

    def _send(self, market: str, one: Happened, **fields: Any) -> None:
        _, exchange, base, quote = CHANNELS[market].split("~")
        times: dict[str, Any] = {"TS": T0 + one.ts // 1000, "TSNS": one.ts % 1000 * 1_000_000}
        times |= {"RTS": T0 + one.discovered // 1000, "RTSNS": one.discovered % 1000 * 1_000_000}
        given = {"ID": one.id, "P": 100, "Q": 1, "F": "1"} | fields
        self._frame(TYPE="0", M=exchange, FSYM=base, TSYM=quote, **times, **given)

    def _frame(self, **fields: Any) -> None:
        self._frame_of(json.dumps(fields).encode())

    def _frame_of(self, raw: bytes) -> None:
        self.connection.take_frame(raw, micros(self.now))

    # --- what must hold ---

    def feeds(self) -> dict[tuple[str, str], list[LiveRecord]]:
        """Return what was published, by (market, feed)."""
        found: dict[tuple[str, str], list[LiveRecord]] = defaultdict(list)
        for records in self.published.values():
            for record in records:
                found[record.market, record.feed].append(record)
        return found

    def check(self) -> None:
        """Hold every feed of every topic on its own against what happened."""
        for topic, records in self.published.items():
            assert all(record.feed.startswith(f"{topic}/c") for record in records)
        for (symbol, feed), records in self.feeds().items():
            assert [record.n for record in records] == list(range(1, len(records) + 1)), (feed, records)
            leading = next(record for record in records if type(record) is not Trade)
            assert type(leading) is FeedOpened, (feed, records)
            carried = {record.id for record in records if type(record) is Trade}
            for span in spans_of(records):
                lacking = [one for one in self._inside(symbol, span) if one.id not in carried]
                assert not lacking, (feed, span, lacking, records)

    def _inside(self, symbol: str, span: FeedSpan) -> list[Happened]:
        """Return the trades that a span says it holds."""
        market = next(market for market, of in SYMBOLS.items() if of == symbol)
        stood = max(((begun, number) for begun, number in self.begins[market] if begun <= span.start), default=(0, 0))
        return [
            one
            for one in self.happened[market]
            if span.start <= micros(one.ts) < span.stop
            and (one.ts - one.discovered <= AHEAD or one.subscription == stood[1])
        ]


def spans_of(records: list[LiveRecord]) -> list[FeedSpan]:
    """Return what a consumer stores of a feed."""
    found: dict[int, FeedSpan] = {}
    position = FeedSequence()
    for record in records:
        step = apply(position, [record])
        position = step.position
        found |= {span.start: span for span in step.spans}
    assert position.unbroken
    return list(found.values())
