"""What must hold after any trouble: pure, from the simulator's log, its trades, and what Candlekeep stored and claims.

All times are microseconds since 1970, UTC. Every check returns sentences, one per fault; none means that it holds.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

SECOND = 1_000_000
MINUTE = 60 * SECOND
MOST_NAMED = 5  # faults of one kind that are spelled out


class Trade(NamedTuple):
    """A trade under the name that Candlekeep gives it."""

    ts: int
    id: str
    price: Decimal
    amount: Decimal
    seq: int | None = None


class Bar(NamedTuple):
    """A candle."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int


class Span(NamedTuple):
    """The time [start, stop)."""

    start: int
    stop: int


class Segment(NamedTuple):
    """A part of a certificate."""

    start: int
    stop: int
    state: str


@dataclass(slots=True)
class Socket:
    """One connection as the simulator's log has it; subscribed: when each market's replay was complete."""

    number: int
    last_frame: int
    subscribed: dict[str, int] = field(default_factory=dict)
    ended: bool = False


@dataclass(slots=True)
class Log:
    """The simulator's log: what it sent, over which sockets, and the frames that no client should take."""

    sockets: list[Socket] = field(default_factory=list)
    sent: dict[str, list[Trade]] = field(default_factory=lambda: defaultdict(list))
    garbage: list[tuple[int, str, str]] = field(default_factory=list)  # (at, kind, market)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one market over `looked_at`, a span of whole buckets that the watermark has passed.

    made: every trade of the provider in it, sent or not. slack: what a claim may lag beside GRACE, and what a new
    subscription takes to begin.
    """

    market: str
    looked_at: Span
    made: Sequence[Trade]
    stored: Sequence[Trade]
    candles: Mapping[int, Bar]
    segments: Sequence[Segment]
    live_spans: Sequence[Span]
    log: Log
    grace: int
    slack: int
    bucket: int = MINUTE


def read_log(lines: Iterable[str]) -> Log:
    """Read sent.jsonl. A killed simulator closes no socket: its last line stands for its last frame."""
    log = Log()
    for row in map(json.loads, lines):
        if row["event"] in ("started", "opened") and log.sockets:
            log.sockets[-1].ended = True  # there is one at a time
        if row["event"] == "opened":
            log.sockets.append(Socket(row["socket"], row["at"] // 1000))
        elif log.sockets and log.sockets[-1].number == row.get("socket"):
            _follow(log, log.sockets[-1], row)
    return log


def _follow(log: Log, socket: Socket, row: Mapping[str, Any]) -> None:
    event = row["event"]
    if event == "closed":
        socket.ended = True
        socket.last_frame = row["last_frame"] // 1000 or socket.last_frame
        return
    socket.last_frame = row["at"] // 1000
    if event == "trade":
        log.sent[row["market"]].append(sent_trade(row))
    elif event == "subscribed":
        socket.subscribed[row["market"]] = row["at"] // 1000
    elif event == "garbage":
        log.garbage.append((row["at"] // 1000, row["kind"], row["market"]))


def sent_trade(row: Mapping[str, Any]) -> Trade:
    """Name a sent trade as Candlekeep does: an id that the provider made up gives way to its CCSEQ."""
    ts, found, seq = row["ts"] // 1000, row["id"], row["ccseq"]
    made_up = found.startswith(str(row["ts"] // 10**9)) and len(found) <= len(str(row["ts"] // 10**9)) + 3
    name = f"ccseq:{seq}" if made_up else found
    order = seq if seq is not None else int(found)
    return Trade(ts, name, Decimal(row["price"]), Decimal(row["amount"]), order)


def roll_up(trades: Iterable[Trade]) -> Bar | None:
    """Roll trades up in the order (ts, seq, id); None where there are none."""
    rows = sorted(trades, key=lambda trade: (trade.ts, trade.seq is None, trade.seq or 0, trade.id))
    if not rows:
        return None
    prices = [trade.price for trade in rows]
    volume = sum((trade.amount for trade in rows), Decimal())
    quote = sum((trade.price * trade.amount for trade in rows), Decimal())
    return Bar(prices[0], max(prices), min(prices), prices[-1], volume, quote, len(rows))


def broken(evidence: Evidence) -> list[Span]:
    """Return the times in which this market may be in doubt: around every break of a socket and bad frame."""
    log, before, after = evidence.log, evidence.grace + evidence.slack, evidence.slack
    found, doubtful_since = [], evidence.looked_at.start
    for socket in log.sockets:
        if (subscribed := socket.subscribed.get(evidence.market)) is not None:
            found.append(Span(doubtful_since, subscribed + after))
            doubtful_since = max(socket.last_frame - before, subscribed)
            if not socket.ended:
                doubtful_since = evidence.looked_at.stop
    found.append(Span(doubtful_since, evidence.looked_at.stop))
    for at, kind, market in log.garbage:
        if kind != "market" and (kind != "price" or market == evidence.market):
            found.append(Span(at - before, at + after))
    return [span for span in found if span.start < span.stop]


def faults(evidence: Evidence) -> list[str]:
    """Run every check."""
    return [
        f"{evidence.market}: {fault}"
        for check in (contiguous, sent_was_made, stored_once, live_is_whole, candles_are_exact, untouched_is_live)
        for fault in check(evidence)
    ]


def contiguous(evidence: Evidence) -> list[str]:
    """Check that the certificate covers the time looked at: no seam, no overlap, whole buckets."""
    at, found = evidence.looked_at.start, []
    for segment in evidence.segments:
        if segment.start != at or segment.stop <= segment.start or segment.stop % evidence.bucket:
            found.append(f"segment {segment} does not follow {moment(at)}")
        at = segment.stop
    if at != evidence.looked_at.stop:
        found.append(f"the certificate ends at {moment(at)}, not at {moment(evidence.looked_at.stop)}")
    return found


def sent_was_made(evidence: Evidence) -> list[str]:
    """Check the yardstick itself: what the log says was sent is what the provider made."""
    made = {trade[:2]: trade for trade in evidence.made}
    wrong = [
        trade
        for trade in evidence.log.sent[evidence.market]
        if evidence.looked_at.start <= trade.ts < evidence.looked_at.stop and made.get(trade[:2]) != trade
    ]
    return _named("sent but not made", wrong)


def stored_once(evidence: Evidence) -> list[str]:
    """Check that no trade is stored twice, none that was never sent, and each with the numbers it was sent with."""
    sent = {trade[:2]: trade for trade in evidence.log.sent[evidence.market]}
    times = Counter(trade.id for trade in evidence.stored)
    invented = [trade for trade in evidence.stored if trade[:2] not in sent]
    changed = [trade for trade in evidence.stored if trade[:2] in sent and trade[2:4] != sent[trade[0], trade[1]][2:4]]
    return [
        *_named("stored twice", [number for number, count in times.items() if count > 1]),
        *_named("stored but never sent", invented),
        *_named("stored with other numbers than sent", changed),
    ]


def live_is_whole(evidence: Evidence) -> list[str]:
    """Check that every trade the provider made is stored, or lies outside every live segment and every live span."""
    stored = {trade[:2] for trade in evidence.stored}
    missing = sorted(trade for trade in evidence.made if trade[:2] not in stored)
    claimed = [Span(segment.start, segment.stop) for segment in evidence.segments if segment.state == "live"]
    return [
        *_named("missing in a live segment", _inside(missing, claimed)),
        *_named("missing in a span proven live", _inside(missing, evidence.live_spans)),
    ]


def candles_are_exact(evidence: Evidence) -> list[str]:
    """Check that each live bucket's candle is the roll-up of all that the provider made in it; quiet ones have none."""
    by_bucket = defaultdict(list)
    for trade in evidence.made:
        by_bucket[trade.ts // evidence.bucket * evidence.bucket].append(trade)
    wrong = []
    for start in live_buckets(evidence):
        ours, theirs = evidence.candles.get(start), roll_up(by_bucket[start])
        if ours != theirs:
            wrong.append(f"{moment(start)}: {ours} instead of {theirs}")
    return _named("live but not exact", wrong)


def untouched_is_live(evidence: Evidence) -> list[str]:
    """Check that every bucket that no broken socket touches is live, and every other instant too is in a live span."""
    doubtful, live = broken(evidence), set(live_buckets(evidence))
    buckets = range(evidence.looked_at.start, evidence.looked_at.stop, evidence.bucket)
    held_back = [
        moment(start)
        for start in buckets
        if start not in live and not touched(Span(start, start + evidence.bucket), doubtful)
    ]
    bare = subtracted(subtracted([evidence.looked_at], doubtful), evidence.live_spans)
    return [
        *_named("untouched but not live", held_back),
        *_named("untouched but not covered", [f"{moment(span.start)} to {moment(span.stop)}" for span in bare]),
    ]


def touched(span: Span, others: Iterable[Span]) -> bool:
    """Return whether any of the others overlaps span."""
    return any(other.start < span.stop and span.start < other.stop for other in others)


def live_buckets(evidence: Evidence) -> Iterator[int]:
    """Yield the start of each bucket that the certificate calls live."""
    for segment in evidence.segments:
        if segment.state == "live":
            yield from range(segment.start, segment.stop, evidence.bucket)


def holes(evidence: Evidence) -> list[Span]:
    """Return what the certificate does not call live, neighbours joined."""
    live = [Span(segment.start, segment.stop) for segment in evidence.segments if segment.state == "live"]
    return subtracted([evidence.looked_at], live)


def subtracted(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return what is left of spans without the others."""
    left = sorted(spans)
    for other in sorted(others):
        left = [
            part
            for span in left
            for part in (Span(span.start, min(span.stop, other.start)), Span(max(span.start, other.stop), span.stop))
            if part.start < part.stop
        ]
    return left


def moment(micros: int) -> str:
    """Write a time so that it can be found in a log."""
    minutes, rest = divmod(micros % (86_400 * SECOND), MINUTE)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest / SECOND:09.6f}"


def _inside(trades: Sequence[Trade], spans: Iterable[Span]) -> list[Trade]:
    times = [trade.ts for trade in trades]
    return [trade for span in spans for trade in trades[bisect_left(times, span.start) : bisect_left(times, span.stop)]]


def _named(what: str, found: Sequence[object]) -> list[str]:
    if not found:
        return []
    return [f"{len(found)} {what}, such as {'; '.join(map(str, found[:MOST_NAMED]))}"]
