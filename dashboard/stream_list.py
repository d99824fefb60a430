"""Streams and their topics as the pages show them: how far each is, and every step with its time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.http import QueryDict
from redis.exceptions import RedisError

from dashboard.paging import Page, chosen, page_of
from datastore.models import DynamicTopic, Market, Pair, Stream
from datastore.sse.follower_counts import followers_by_process, followers_by_stream
from datastore.streams.lifecycle import Progress, progress
from datastore.streams.steps import Step, steps_of

MAX_SUGGESTED = 30
WORDS = {
    "requested": "Requested",
    "topic_requested": "Topic asked for",
    "topic_created": "Topic made at the broker",
    "actors_told": "Producer and consumer notified",
    "routed": "First record in the topic",
    "subscribed": "Consumer reads the topic",
    "live": "Live",
    "ended": "Ended",
    "topic_retiring": "Topic retires",
    "route_ended": "Nothing more is published",
    "drained": "Topic read to its end",
    "topic_deleted": "Topic deleted at the broker",
}
MADE = ("requested", "topic_requested", "topic_created", "actors_told", "routed", "subscribed", "live")


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A step in words; took: since the step before it that was taken, None if unknown or in another order."""

    words: str
    at: datetime | None
    by: str
    took: timedelta | None = None


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream with what is known of its data and the step that was taken last."""

    stream: Stream
    progress: Progress
    steps: list[ShownStep]
    newest: ShownStep | None
    is_alive: bool
    followers: int | None  # None: not known

    @property
    def lag_s(self) -> float | None:
        """Return how many seconds of acknowledged records are not stored yet."""
        return None if self.progress.lag is None else self.progress.lag / 1000


def streams_asked(query: QueryDict) -> tuple[Page[StreamRow], dict[str, str]]:
    """Return a page of streams, the newest first, and the filters that were used; a fixed number of statements."""
    filters = {"state": chosen(query, "state", Stream.State.values), "market": chosen(query, "market")}
    streams = Stream.objects.select_related("market", "topic").order_by("-id")
    if filters["state"]:
        streams = streams.filter(state=filters["state"])
    if filters["market"]:
        streams = streams.filter(market__symbol__icontains=filters["market"])
    page = page_of(streams, query)
    return replace(page, rows=_rows(page.rows)), filters


def one_stream(number: int) -> StreamRow | None:
    """Return one stream, None if there is none with this id."""
    found = Stream.objects.select_related("market", "topic").filter(pk=number)
    return next(iter(_rows(list(found))), None)


@dataclass(frozen=True, slots=True)
class TopicRow:
    """A topic with the number of its alive streams and of those who follow one of them; None: not known."""

    topic: DynamicTopic
    alive: int
    followers: int | None


def open_topics() -> list[TopicRow]:
    """Return the topics that exist or are on their way there or out, the newest first."""
    found = DynamicTopic.objects.exclude(state=DynamicTopic.State.RETIRED).select_related("market").order_by("-id")
    topics = list(found[:100])
    streams: defaultdict[int, list[int]] = defaultdict(list)
    alive = Stream.objects.filter(topic__in=topics, state__in=Stream.ALIVE)
    for topic_id, stream_id in alive.values_list("topic_id", "pk"):
        streams[topic_id].append(stream_id)
    counts = _counts()
    return [
        TopicRow(topic, len(ids), None if counts is None else sum(counts[one] for one in ids))
        for topic in topics
        for ids in [streams[topic.pk]]
    ]


def followers() -> int | None:
    """Return how many readers follow any series by Server-Sent Events, None while the cache does not answer."""
    try:
        return sum(followers_by_process().values())
    except RedisError:
        return None


def _counts() -> Counter[int] | None:
    """Return how many follow each stream, None while the cache does not answer."""
    try:
        return followers_by_stream()
    except RedisError:
        return None


def suggested(text: str) -> list[str]:
    """Return symbols that hold a text: markets with data first, then pairs of the provider's list."""
    text = text.replace("\0", "").strip()[:60]
    known = list(Market.objects.filter(symbol__icontains=text).values_list("symbol", flat=True)[:MAX_SUGGESTED])
    listed = Pair.objects.filter(active=True, symbol__icontains=text).values_list("symbol", flat=True)
    return list(dict.fromkeys([*known, *listed[:MAX_SUGGESTED]]))[:MAX_SUGGESTED]


def _rows(streams: Sequence[Stream]) -> list[StreamRow]:
    alive = [stream for stream in streams if stream.state in Stream.ALIVE]
    known = progress(alive)
    counts = _counts() if alive else None
    return [_row(stream, known.get(stream.pk, Progress()), counts) for stream in streams]


def _row(stream: Stream, known: Progress, counts: Counter[int] | None) -> StreamRow:
    is_alive = stream.state in Stream.ALIVE
    taken = [step for step in steps_of(stream) if step.at is not None]
    newest = max(taken, key=lambda step: (step.at, step.name == "live"), default=None)
    steps = shown_steps([step for step in steps_of(stream) if step.at or (is_alive and step.name in MADE)])
    following = counts[stream.pk] if counts is not None and is_alive else None
    return StreamRow(stream, known, steps, _shown(newest) if newest else None, is_alive, following)


def shown_steps(steps: Sequence[Step]) -> list[ShownStep]:
    """Return the steps in the order of their times, those that are to come last. Pure."""
    taken = sorted((step for step in steps if step.at), key=lambda step: str(step.at))
    rows: list[ShownStep] = []
    before: datetime | None = None
    for step in taken:
        rows.append(replace(_shown(step), took=step.at - before if step.at and before else None))
        before = step.at
    return rows + [_shown(step) for step in steps if step.at is None]


def _shown(step: Step) -> ShownStep:
    return ShownStep(WORDS.get(step.name, step.name), step.at, step.by)
