"""The way of the data as one picture: the customer's interaction diagram with what flows on its arrows now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from redis.exceptions import RedisError

from actor_runtime.models import ERROR
from config.monitoring.cached_answer import CachedAnswer
from config.monitoring.gauges import unread_dynamic_records
from config.monitoring.health import failing_parts
from config.monitoring.metrics import UNAVAILABLE_ERRORS
from dashboard.actors import POOL_ROLES, Kind, all_kinds, fixed_lags
from dashboard.rates import CANDLE, DYNAMIC, TICK, RateMeter, totals
from datastore import metrics
from datastore.backfill import fetch_queue
from datastore.quality.freshness import LIVE, proven_markets
from datastore.reference.provider_registry import LIVE_ROLE
from datastore.sse.follower_counts import followers_by_process
from datastore.streams import lifecycle
from datastore.wording import counted
from ingestion.history.pool import ROLE as HISTORY_ROLE

WIDTH, HEIGHT = 1336, 410  # of the whole picture, in pixels
BOX_WIDTH, BOX_HEIGHT = 152, 58
LABEL_CHAR, LABEL_HEIGHT = 6.3, 15  # of the words on an arrow


@dataclass(frozen=True, slots=True)
class Figures:
    """What flows and what waits, read once for a picture. None, or a name that is missing: not known."""

    rates: Mapping[str, float]
    lags: Mapping[str, int]
    followers: int | None
    requests: int  # that wait for a fetch
    fetches: int  # under way
    streams: int
    feeds: tuple[int, int]  # live, of all that are followed
    failing: Mapping[str, str]  # reasons by server


def figures() -> Figures:
    """Return the newest figures, read at most once a second. Raises DatabaseError."""
    return _known.get()


_meter = RateMeter(totals)


def _look() -> Figures:
    markets = proven_markets()
    waiting = metrics.requests_by_state()
    fetches = fetch_queue.count_by_state()
    return Figures(
        rates=_or(_meter.per_second, {}),
        lags={**fixed_lags(), **_or(lambda: {DYNAMIC: unread_dynamic_records()}, {})},
        followers=_or(lambda: sum(followers_by_process().values()), None),
        requests=waiting["waiting_for_data"],
        fetches=sum(fetches[state] for state in ("queued", "fetching", "published")),
        streams=sum(count for state, count in lifecycle.count_by_state().items() if state in ("requested", "live")),
        feeds=(sum(market.state == LIVE for market in markets), len(markets)),
        failing=failing_parts(),
    )


_known = CachedAnswer(_look)
T = TypeVar("T")


def _or(read: Callable[[], T], otherwise: T) -> T:
    """Return what read() returns, `otherwise` while its server is away: the picture then shows all else."""
    try:
        return read()
    except (*UNAVAILABLE_ERRORS, RedisError):
        return otherwise


@dataclass(frozen=True, slots=True)
class Part:
    """A box: an actor, a topic, a server, or who is outside. level and word: what is wrong with it, if anything."""

    x: float  # of its middle
    y: float
    title: str
    line: str
    url: str
    kind: str  # actor, topic, store or outside: its shape
    level: str = ""
    word: str = ""

    @property
    def left(self) -> float:
        """Return the x of the left edge."""
        return self.x - BOX_WIDTH / 2

    @property
    def top(self) -> float:
        """Return the y of the upper edge."""
        return self.y - BOX_HEIGHT / 2

    @property
    def rows(self) -> list[tuple[str, str, float]]:
        """Return the lines of words: class, text, and the y of the middle."""
        words = [("title", self.title), ("word" if self.word else "line", self.word or self.line)]
        return [(name, text, self.y - 10 + 20 * number) for number, (name, text) in enumerate(words)]


class Flow(NamedTuple):
    """An arrow: its course, where its words stand, what they say, and whether something flows now."""

    path: str
    x: float
    y: float
    lines: tuple[str, ...]
    busy: bool
    late: bool = False  # records wait in front of it
    dashed: bool = False  # instructions, not data

    @property
    def rows(self) -> list[tuple[str, float, float, float, float]]:
        """Return each line of words: text, the y of its middle, and left, top and width of its plate."""
        top = self.y - LABEL_HEIGHT * (len(self.lines) - 1) / 2
        return [
            (text, y, self.x - len(text) * LABEL_CHAR / 2, y - LABEL_HEIGHT / 2, len(text) * LABEL_CHAR)
            for number, text in enumerate(self.lines)
            for y in [top + LABEL_HEIGHT * number]
        ]


def picture(provider: str) -> dict[str, object]:
    """Return the boxes and arrows for flow.svg; provider: what to call who delivers prices. Raises DatabaseError."""
    now = figures()
    return {"parts": parts(now, all_kinds(), provider), "flows": flows(now), "width": WIDTH, "height": HEIGHT}


# The middle of each column and row of boxes, in pixels.
OUTSIDE, PRODUCERS, TOPICS, CONSUMERS, STORES, READERS = 80, 314, 548, 782, 1016, 1246
TOP, MIDDLE, LOW, BOTTOM = 46, 150, 254, 366
UPPER, LOWER = 84, 216  # of the last two columns


def parts(now: Figures, kinds: list[Kind], provider: str) -> list[Part]:
    """Return all boxes."""
    by_kind = {kind.name: kind for kind in kinds}
    live, followed = now.feeds
    feed_level, feed_word = ("error", f"{live} of {followed} feeds live") if live < followed else ("", "")

    def actor(x: float, y: float, title: str, kind: str, role: str = "") -> Part:
        group = [each for each in by_kind[kind].groups if each["role"].startswith(role)]
        return Part(x, y, title, _all_well(group), _address(by_kind[kind], role), "actor", *_trouble(group))

    def topic(y: float, title: str, name: str) -> Part:
        return _server(TOPICS, y, title, _lag(now, name), "stream", now, "topic")

    return [
        Part(OUTSIDE, MIDDLE, provider, f"{live} of {followed} feeds live", "/", "outside", feed_level, feed_word),
        actor(PRODUCERS, TOP, "Producer, live", "producer", LIVE_ROLE),
        actor(PRODUCERS, MIDDLE, "Producer, history", "producer", HISTORY_ROLE),
        actor(PRODUCERS, LOW, "Producer, topics", "producer", "producer-topic"),
        topic(TOP, "tick-data", TICK),
        topic(MIDDLE, "candle-data", CANDLE),
        topic(LOW, "dynamic topics", DYNAMIC),
        actor(CONSUMERS, TOP, "Consumer, trades", "fixedtopicconsumer", "fixed-tick"),
        actor(CONSUMERS, MIDDLE, "Consumer, candles", "fixedtopicconsumer", "fixed-candle"),
        actor(CONSUMERS, LOW, "Consumer, dynamic", "dynamictopicconsumer"),
        _server(STORES, UPPER, "Database", _rate(now, "trades stored", "trades/s"), "database", now),
        _server(STORES, LOWER, "Cache", _rate(now, "batches", "updates/s"), "cache", now),
        Part(READERS, UPPER, "API", _rate(now, "requests", "calls/s"), "/api/v1/docs", "outside"),
        Part(READERS, LOWER, "Streams", counted(now.followers or 0, "follower"), "/streams", "outside"),
        actor(TOPICS, BOTTOM, "Coordinator", "coordinator"),
        actor(STORES, BOTTOM, "Datastore requests", "datastorerequest"),
    ]


def _server(x: float, y: float, title: str, line: str, server: str, now: Figures, kind: str = "store") -> Part:
    trouble = ("error", "does not answer") if server in now.failing else ("", "")
    return Part(x, y, title, line, "/system", kind, *trouble)


def _trouble(group: Iterable[Mapping[str, int | str]]) -> tuple[str, str]:
    """Return level and word for the worst that the actors of a box have."""
    rows = list(group)
    total = _sum(rows)
    if errors := _sum(row for row in rows if row["state"] == ERROR):
        return "error", "Error" if total == 1 else f"{errors} of {total} in Error"
    if silent := sum(int(row["silent"]) for row in rows):
        return "error", "Silent" if total == 1 else f"{silent} of {total} silent"
    free = sum(int(row["free"]) for row in rows if row["role"] not in POOL_ROLES and row["role"] != "request")
    if free:
        return "error", "No process" if total == 1 else f"{free} of {total} without process"
    if waiting := sum(int(row["waiting"]) for row in rows):
        return "warning", "Waiting" if total == 1 else f"{waiting} of {total} waiting"
    return "", ""


def _all_well(group: Iterable[Mapping[str, int | str]]) -> str:
    rows = list(group)
    total = _sum(rows)
    resting = _sum(row for row in rows if row["state"] in ("idle", "active", "consuming"))
    if total <= 1:
        return ("Resting" if resting else "At work") if total else "None"
    return f"{total - resting} of {total} at work"


def _sum(rows: Iterable[Mapping[str, int | str]]) -> int:
    return sum(int(row["n"]) for row in rows)


def _address(kind: Kind, role: str) -> str:
    """Return the page of the only actor of a role, else that of its kind."""
    rows = [row for row in kind.rows if row.actor.role.startswith(role)]
    alone = sum(group["n"] for group in kind.groups if group["role"].startswith(role)) == 1
    return rows[0].url if alone and rows else f"/actors/{kind.name}"


def flows(now: Figures) -> list[Flow]:
    """Return all arrows: data first, then instructions."""
    right, left = BOX_WIDTH / 2 + 1, BOX_WIDTH / 2 + 4

    def across(x: float, y: float, to_x: float, to_y: float, *lines: str, at: float = 0.5, late: bool = False) -> Flow:
        start, stop = x + right, to_x - left
        bend = (stop - start) / 2
        path = f"M{start:g} {y:g}C{start + bend:g} {y:g} {stop - bend:g} {to_y:g} {stop:g} {to_y:g}"
        words = tuple(line for line in lines if line)
        where = (start + (stop - start) * at, y + (to_y - y) * at - (11 if y == to_y else 0))
        return Flow(path, *where, words, any(not line.startswith(("0", "-", "lag")) for line in words), late)

    def read(y: float, topic: str) -> Flow:
        late = bool(now.lags.get(topic))
        return across(TOPICS, y, CONSUMERS, y, _rate(now, f"records {topic}", "rec/s"), at=0.5, late=late)

    data = [
        across(OUTSIDE, MIDDLE - 8, PRODUCERS, TOP, _rate(now, "trades received", "trades/s")),
        across(OUTSIDE, MIDDLE, PRODUCERS, MIDDLE, _rate(now, "calls", "calls/s")),
        across(PRODUCERS, TOP, TOPICS, TOP, _rate(now, "trades received", "trades/s")),
        across(PRODUCERS, MIDDLE, TOPICS, MIDDLE, ""),
        across(PRODUCERS, TOP + 8, TOPICS, LOW - 8, "copies" if now.streams else "", at=0.62),
        across(PRODUCERS, LOW, TOPICS, LOW, ""),
        read(TOP, TICK),
        read(MIDDLE, CANDLE),
        read(LOW, DYNAMIC),
        *(across(CONSUMERS, y, STORES, UPPER) for y in (TOP, MIDDLE - 4, LOW - 4)),
        *(across(CONSUMERS, y + 6, STORES, LOWER) for y in (TOP, MIDDLE, LOW)),
        across(STORES, UPPER, READERS, UPPER, _rate(now, "answers database", "answers/s")),
        across(STORES, LOWER, READERS, UPPER + 10, _rate(now, "answers ready", "from cache/s"), at=0.42),
        across(STORES, LOWER + 8, READERS, LOWER + 8, _rate(now, "events", "events/s")),
    ]
    up, down = LOW + BOX_HEIGHT / 2 + 4, BOTTOM - BOX_HEIGHT / 2 - 1
    ask = f"M{READERS + right:g} {UPPER}H1330V{BOTTOM}H{STORES + left:g}"
    fetch = f"M{TOPICS - right:g} {BOTTOM}H206V{MIDDLE + 16}H{PRODUCERS - left:g}"
    told = [
        Flow(ask, READERS, BOTTOM, (counted(now.requests, "question"),), bool(now.requests), dashed=True),
        Flow(
            f"M{STORES - right:g} {BOTTOM}H{TOPICS + left:g}",
            CONSUMERS,
            BOTTOM,
            (f"{now.fetches:,} under way",),
            bool(now.fetches),
            dashed=True,
        ),
        Flow(fetch, PRODUCERS, BOTTOM, ("instructs to fetch",), bool(now.fetches), dashed=True),
        Flow(f"M{TOPICS - 40} {down}L{PRODUCERS + 30} {up}", 424, 310, ("create topic",), False, dashed=True),
        Flow(
            f"M{TOPICS + 40} {down}L{CONSUMERS - 30} {up}",
            676,
            310,
            (counted(now.streams, "stream"),),
            bool(now.streams),
            dashed=True,
        ),
    ]
    return [*data, *told]


def _rate(now: Figures, name: str, unit: str) -> str:
    """Return how often something happens per second, a dash before that is known."""
    if not now.rates:
        return f"- {unit}"
    rate = now.rates.get(name, 0.0)
    return f"{rate:,.0f} {unit}" if rate >= 9.95 or rate < 0.05 else f"{rate:.1f} {unit}"


def _lag(now: Figures, topic: str) -> str:
    return f"lag {now.lags[topic]:,}" if topic in now.lags else "lag unknown"
