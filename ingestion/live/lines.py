"""The connections of one live Producer: as many as its markets need, and the next one before one is cut.

A provider takes so many channels on one connection, so the markets are spread over shards, each with a connection of
its own. Before a provider cuts a connection, at a time that is known or after a notice, the next one is opened beside
it; both are read, routed and published until the next one has all markets complete, and only then the first one ends.
What comes twice changes nothing. Times are local seconds, of this machine's count since its boot.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Event

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from actor_runtime.redaction import without_secrets
from datastore.timeframes.intervals import SECOND_US
from ingestion.history.provider_quota import MAX_BAN_S, ProviderQuota, Window, quota_of
from ingestion.live.line import Line
from ingestion.live.market_connection import MarketConnection
from ingestion.live.socket_reader import SocketLost
from ingestion.live.subscriptions import NO_SUBSCRIPTIONS, Subscriptions, spread
from ingestion.live.timekeeping import Timekeeper
from ingestion.providers.port import Provider
from ingestion.providers.reading import handshake_remedy
from streaming.ends import EndCode

log = structlog.get_logger(__name__)

MAX_RECONNECT_DELAY_S = 60.0
HANDOVER_S = 60.0  # that a connection goes on beside the next one
EARLY_S = (300.0, 900.0)  # before a forced cut the next connection is begun: at random, so that not all do it at once
MAX_EARLY_SHARE = 0.5  # of a short life
BANNED = 418  # HTTP status
REPLACED_REASON = "the next connection has taken over"


@dataclass(slots=True)
class Shard:
    """Markets that share a connection, the connection, and the one that follows it."""

    channels: dict[str, str]
    delay: float  # until the next attempt after one that failed
    line: Line | None = None
    next: Line | None = None
    connect_at: float = 0.0  # no sooner
    waiting_for: str = ""  # why there is no connection


@dataclass(frozen=True, slots=True)
class LineLost:
    """A connection that was lost and dropped; `spoke`: it had brought something."""

    lost: SocketLost
    spoke: bool
    delay: float


class Lines:
    """All connections of one Producer."""

    def __init__(self, provider: Provider, time: Timekeeper, monotonic: Callable[[], float]) -> None:
        """Prepare for a provider's markets; nothing is connected yet."""
        self._provider, self._time, self._monotonic = provider, time, monotonic
        self._least_delay = provider.traits.stream.reconnect_after.total_seconds()
        limits = provider.traits.limits
        channels = limits.channels_per_connection
        self._room = None if channels is None else max(1, channels // limits.channels_per_market)
        window = limits.connections and Window("connections", limits.connections.seconds, limits.connections.limit)
        name = f"{limits.counted_as or provider.name}:connections"
        self._attempts = ProviderQuota(name, (window,)) if window else None
        self._arrived = Event()
        self._may_overlap = limits.connections_at_once is None or limits.connections_at_once > 1
        self._life = limits.forced_disconnect.total_seconds() if limits.forced_disconnect else None
        self._ended: list[Line] = []  # closed, but the broker may not have taken all of their records
        self.shards = [Shard({}, self._least_delay)]
        self.wanted = NO_SUBSCRIPTIONS

    def __iter__(self) -> Iterator[Line]:
        """Return the lines that are connected or about to be, the older ones first."""
        return iter([line for shard in self.shards for line in (shard.line, shard.next) if line is not None])

    @property
    def are_there(self) -> bool:
        """Return whether any connection is open or about to be."""
        return any(shard.line for shard in self.shards)

    @property
    def trouble(self) -> str | None:
        """Return why a shard has no connection, None if all have one."""
        return next((shard.waiting_for for shard in self.shards if shard.line is None and shard.waiting_for), None)

    def want(self, wanted: Subscriptions) -> None:
        """Spread what is wanted over connections; a market stays on the one that has it."""
        self.wanted = wanted
        parts = spread([shard.channels for shard in self.shards], wanted.channels, self._room)
        for shard, channels in zip(self.shards, parts, strict=False):
            shard.channels = channels
        self.shards += [Shard(channels, self._least_delay) for channels in parts[len(self.shards) :]]
        if len(parts) > 1 and (empty := [shard for shard in self.shards if not shard.channels]):
            for shard in empty[: len(self.shards) - 1]:
                self.shards.remove(shard)
                for line in filter(None, (shard.line, shard.next)):
                    self._end(line, "no longer followed", EndCode.LEFT)

    def wanted_of(self, line: Line) -> Subscriptions:
        """Return what is wanted of one line: nothing once it has ended."""
        shard = next((shard for shard in self.shards if line in (shard.line, shard.next)), None)
        return self.wanted.of(shard.channels if shard else {})

    # --- connecting ---

    def due_in(self) -> float | None:
        """Return the seconds until the first shard may connect, None if none has a market."""
        times = [shard.connect_at for shard in self.shards if shard.channels]
        return min(times) - self._monotonic() if times else None

    def connect_due(self) -> None:
        """Begin the connections that are due: of shards without one, and before one that has is cut."""
        now = self._monotonic()
        for shard in self.shards:
            if not shard.channels or now < shard.connect_at:
                continue
            if shard.line is None:
                shard.line = self._connect(shard)
            elif shard.next is None and (reason := self._is_ending(shard.line, now)):
                log.info("the next connection is opened", feed=shard.line.connection.feed, reason=reason)
                shard.next = self._connect(shard)

    def _is_ending(self, line: Line, now: float) -> str | None:
        if not self._may_overlap:
            return None
        if line.connection.is_open and now >= line.replace_at:
            return "the provider cuts connections of this age"
        return line.is_ending

    def _connect(self, shard: Shard) -> Line | None:
        """Begin a connection, unless the provider takes no more of them now."""
        now, wait = self._monotonic(), 0.0
        with suppress(RedisError):  # our own pace is below what any provider allows
            wait = self._attempts.take() if self._attempts else 0.0
        shard.connect_at = now + (wait or self._least_delay)
        if wait:
            shard.waiting_for = "the provider to take another connection"
            return None
        connection = MarketConnection(
            self._provider,
            shard.channels,
            self._time,
            grace=round(settings.GRACE * SECOND_US),
            retention=settings.TICK_RETENTION_DAYS * 86_400 * SECOND_US,
            ready=self._arrived,
        )
        connection.start()
        replace_at = float("inf")
        if self._life is not None:
            early = random.uniform(*EARLY_S)
            replace_at = now + self._life - min(early, self._life * MAX_EARLY_SHARE * early / EARLY_S[1])
        return Line(connection, now, replace_at)

    # --- reading ---

    def wait(self, timeout: float) -> int:
        """Return how many arrivals wait on all lines; if there are none, after `timeout` seconds at most."""
        self._arrived.clear()
        if not (count := self.waiting) and timeout:
            self._arrived.wait(timeout)
            count = self.waiting
        return count

    @property
    def waiting(self) -> int:
        """Return how many arrivals wait on all lines."""
        return sum(line.connection.waiting for line in self)

    def read(self, limit: int) -> int:
        """Make records of about `limit` arrivals, and judge each connection; return how many there were.

        Each line's are taken only when the line before has been read: what a fault in one leaves behind is not lost.
        """
        lines, count = list(self), 0
        for line in lines:
            arrivals = line.connection.wait(0, max(1, limit // len(lines)))
            count += len(arrivals)
            line.connection.read(arrivals)
        return count

    # --- ending ---

    def hand_over(self) -> None:
        """End the connections whose next one has all that they have."""
        for shard in self.shards:
            old, new = shard.line, shard.next
            if old is None or new is None:
                continue
            is_late = self._monotonic() - new.started > HANDOVER_S
            if old.connection.lost:
                shard.line, shard.next = new, None
                self._ended.append(old)
                old.connection.close()
            elif new.connection.lost:
                self._drop_next(shard, new, new.connection.lost)
            elif new.connection.replaces(old.connection) or (is_late and new.connection.channels.subscribed):
                shard.line, shard.next = new, None
                self._end(old, REPLACED_REASON, EndCode.RESUBSCRIBED)
            elif is_late:
                self._drop_next(shard, new, SocketLost(self._monotonic(), "it had not all markets in time"))

    def _drop_next(self, shard: Shard, new: Line, lost: SocketLost) -> None:
        shard.next = None
        self._ended.append(new)
        new.connection.close()
        self._delay(shard, lost, spoke=False)
        log.warning("the next connection was lost", reason=without_secrets(lost.reason), again_in=shard.delay)

    def _end(self, line: Line, reason: str, code: EndCode) -> None:
        self._ended.append(line)
        line.connection.finish(settings.READER_QUEUE, reason, code)
        log.info("connection ended", feed=line.connection.feed, reason=reason)

    def drop_lost(self) -> list[LineLost]:
        """Drop the lost connections and say when each shard is connected again; their records are with the broker."""
        self._ended = [line for line in self._ended if line.connection.records or line.connection.rejected]
        found: list[LineLost] = []
        for shard in self.shards:
            line = shard.line
            if line is None or shard.next is not None or (lost := line.connection.lost) is None:
                continue
            if remedy := handshake_remedy(lost.code):
                lost = replace(lost, reason=f"{lost.reason}; {remedy}")
            spoke = line.connection.has_records
            self._delay(shard, lost, spoke)
            shard.waiting_for = f"the provider: {without_secrets(lost.reason)}"
            shard.line = None
            line.connection.close()
            found.append(LineLost(lost, spoke, shard.delay))
        return found

    def _delay(self, shard: Shard, lost: SocketLost, spoke: bool) -> None:
        """Set when the shard may connect again; where the provider says when, that holds for every process."""
        shard.delay = self._least_delay if spoke else min(shard.delay * 2, MAX_RECONNECT_DELAY_S)
        wait = max(shard.delay, lost.retry_after or 0.0)
        shard.connect_at = self._monotonic() + wait
        if lost.retry_after is None:
            return
        with suppress(RedisError):
            if self._attempts:
                self._attempts.pause(wait, lost.reason, MAX_BAN_S)
            if lost.code == BANNED:  # the address, whatever it asks for
                quota_of(self._provider.traits).pause(wait, lost.reason, MAX_BAN_S)

    def close(self) -> None:
        """Close every socket, and forget all connections."""
        for line in self:
            line.connection.close()
        for shard in self.shards:
            shard.line = shard.next = None
        self._ended.clear()

    # --- what they carry ---

    @property
    def with_records(self) -> list[Line]:
        """Return all lines whose records may still wait for the broker, the ended ones first."""
        return [*self._ended, *self]

    @property
    def topics(self) -> set[str]:
        """Return the topics that have a route."""
        return {topic for line in self for topic in line.router.topics}

    @property
    def subscribed(self) -> set[str]:
        """Return the markets whose subscription is complete on any line."""
        return {market for line in self for market in line.connection.channels.subscribed}

    @property
    def refusals(self) -> dict[str, str]:
        """Return why markets are refused that no line has."""
        found = dict(self.wanted.unlisted)
        for line in self:
            found |= line.connection.channels.refusals
        complete = self.subscribed
        return {market: reason for market, reason in found.items() if market not in complete}

    def markets_of(self, feed: str, topic: str) -> list[str]:
        """Return the markets that a feed carries to a topic."""
        name = feed.rpartition("/")[2]
        lines = [line for line in self.with_records if line.connection.name == name]
        return [market for line in lines for market in line.router.markets_of(topic)]

    def carry(self, market: str, topic: str) -> bool:
        """Return whether a market's records go to a topic."""
        return any(line.router.carries(market, topic) for line in self.with_records)
