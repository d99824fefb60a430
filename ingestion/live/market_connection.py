"""One connection to the provider: its socket, and what is made of what comes over it.

It knows markets, not topics: each market is a feed of numbered records, which the caller routes and publishes. Times
are as in frame_intake.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from threading import Event

import structlog
from django.conf import settings

from ingestion.live.clock_estimate import Source
from ingestion.live.frame_intake import FrameIntake
from ingestion.live.socket_reader import Arrival, Connected, Frame, SocketLost, SocketReader
from ingestion.live.timekeeping import Timekeeper, micros_at, read_date
from ingestion.provider_access import STREAM, access_of
from ingestion.providers.answers import why
from ingestion.providers.port import Provider
from streaming.ends import EndCode

log = structlog.get_logger(__name__)


class MarketConnection(FrameIntake):
    """One socket from opening to loss; `lost` says why it was lost."""

    def __init__(
        self,
        provider: Provider,
        channels: Mapping[str, str],
        time: Timekeeper,
        *,
        grace: int,
        retention: int,
        ready: Event | None = None,
    ) -> None:
        """Prepare a connection to these channels; ready: is set when something arrives. The rest: see FrameIntake."""
        super().__init__(provider, channels, time, grace=grace, retention=retention)
        self.lost: SocketLost | None = None
        keep_alive = provider.traits.stream.keep_alive
        self._keep_alive = keep_alive.total_seconds() if keep_alive else None
        self._keep_alive_at = 0.0  # local time of the next one
        access, subscribe = access_of(provider, STREAM), self._stream.subscribe(sorted(channels))
        messages = provider.traits.limits.messages
        self._reader = SocketReader(access.url, access.headers, subscribe, settings.READER_QUEUE, messages, ready)

    @property
    def waiting(self) -> int:
        """Return how many arrivals wait to be read."""
        return self._reader.waiting

    def start(self) -> None:
        """Connect and subscribe in the background."""
        self._reader.start()

    def close(self) -> None:
        """Close the socket."""
        self._reader.close()

    def finish(self, limit: int, reason: str, code: EndCode) -> None:
        """Close the socket, read up to `limit` frames that had arrived, and end every span for this reason."""
        self._reader.close()
        self.read([arrival for arrival in self._reader.take(0, limit) if not isinstance(arrival, SocketLost)])
        self.end_spans(reason, code)

    def wait(self, timeout: float, limit: int) -> list[Arrival]:
        """Return up to `limit` arrivals, waiting at most `timeout` seconds for the first."""
        return self._reader.take(timeout, limit)

    def read(self, arrivals: list[Arrival]) -> None:
        """Make records of what arrived; if the connection is lost, its spans end."""
        if self.lost is None:  # nothing is believed after a loss
            try:
                self.lost = self._read(arrivals)
            except Exception:
                # Frames that are out of the queue are gone: nothing may be claimed after them.
                self.lost = SocketLost(
                    self._time.monotonic(), "frames were lost to an internal fault", end=EndCode.INTERNAL
                )
                raise
        if self.lost is not None:
            self.end_spans(self.lost.reason, self.lost.end)

    def _read(self, arrivals: list[Arrival]) -> SocketLost | None:
        lost: SocketLost | None = None
        for arrival in arrivals:
            if isinstance(arrival, Frame):
                self.take_frame(arrival.raw, micros_at(arrival.at))
            elif isinstance(arrival, Connected):
                self._connected_at = micros_at(arrival.at)
                self._clock.connected()
                if date := read_date(arrival.date):
                    self._clock.observe(date, self._connected_at, Source.HANDSHAKE)
            else:
                lost = arrival
        local = self._time.monotonic()
        # Not only once it is open: a market may be quiet for longer than the provider waits for a sign of life.
        is_up = self._connected_at is not None and lost is None
        if is_up and self._keep_alive is not None and local >= self._keep_alive_at:
            self._keep_alive_at = local + self._keep_alive
            if (ping := self._stream.keep_alive()) is not None and not self._reader.send(ping):
                return SocketLost(local, "a sign of life could not be sent")
        if self._silence:
            # Nothing is claimed of it: the socket is ordered, so what would have come within it was lost.
            return SocketLost(local, f"no frame for {self._silence:.0f} s of the provider's time", end=EndCode.SILENT)
        if self.is_open:
            self.claim(local, micros_at(local))
        if self.refusal is not None:
            # The provider says why before it closes the socket: the reason counts, not the closing.
            return SocketLost(local, why(self.refusal), self.refusal.http_status, EndCode.SUBSCRIPTION)
        if lost is None and local - self._reader.last_arrival >= self._silent_after:
            return SocketLost(local, f"no frame for {self._silent_after:.0f} s", end=EndCode.SILENT)
        if lost is None and self._clock.is_doubtful(micros_at(local)):
            contradicted = "the provider's stamps contradict the time that it gave before"
            return SocketLost(local, contradicted, end=EndCode.WRONG_TIME)
        return lost

    def abandon(self, reason: str, code: EndCode) -> None:
        """Lose the connection on purpose: nothing more is read, and the next read() ends its spans for this reason."""
        self.lost = SocketLost(self._time.monotonic(), reason, end=code)
        self._reader.close()

    def change_channels(self, wanted: dict[str, str], retry: Set[str]) -> tuple[list[str], list[str]]:
        """Leave and join channels on the open socket; return the markets that were left and that joined.

        retry: markets whose channel is tried again at once if it was refused; the others' turn comes after a while.
        """
        change = self.channels.change_to(wanted, retry, self._time.monotonic())
        left = [self.channels.asked.pop(sub) for sub in change.leave]
        to_leave = [sub for sub in change.leave if self.leave(sub)]
        now = self._time.local_now()
        joined = {sub: symbol for sub, symbol in change.join.items() if self.join(sub, symbol, now)}
        self.channels.asked |= joined
        sent = not to_leave or self._send(self._stream.unsubscribe(to_leave))
        sent &= not joined or self._send(self._stream.subscribe(list(joined)))
        if not sent:
            self.lost = SocketLost(self._time.monotonic(), "a subscription could not be sent")
        if to_leave or joined:
            log.info("subscriptions changed", joined=list(joined), left=to_leave)
        return left, list(joined.values())

    def _send(self, messages: Sequence[bytes]) -> bool:
        return all(self._reader.send(message) for message in messages)

    def replaces(self, other: MarketConnection) -> bool:
        """Return whether the other may end: all its markets are complete here, and it claims up to where ours begin."""
        if not self.is_open:
            return False
        for key, theirs in other.channels.feeds.items():
            ours = self.channels.feeds.get(key)
            if ours is None and theirs.market in self.channels.refusals:
                continue
            if ours is None or not ours.subscribed:
                return False
            if theirs.start is not None and (theirs.stop or theirs.start) < (ours.start or 0):
                return False
        return True
