"""The way of the data as one picture: the customer's interaction diagram with what flows on its arrows now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from actor_runtime.charts import label
from actor_runtime.models import ERROR
from dashboard.actors import POOL_ROLES, Kind, all_kinds
from dashboard.flow.figures import Figures, figures
from dashboard.flow.shapes import LABEL_HEIGHT, TALL, WIDE, Flow, Part, Shape
from dashboard.rates import CANDLE, DYNAMIC, TICK
from datastore.reference.provider_registry import LIVE_ROLE
from datastore.wording import counted
from ingestion.history.pool import ROLE as HISTORY_ROLE

MAX_TITLE_CHARS = 16
RESTING = ("idle", "active", "consuming")  # states in which an actor waits for work
BESIDE = 11  # from a level arrow to the words above and below it


def pictures(provider: str) -> list[dict[str, object]]:
    """Return boxes and arrows for flow.svg, wide and tall; provider: what to call who delivers prices."""
    now, kinds = figures(), all_kinds()
    return [
        {"shape": shape, "parts": parts(now, kinds, provider, shape), "flows": flows(now, shape)}
        for shape in (WIDE, TALL)
    ]


def parts(now: Figures, kinds: list[Kind], provider: str, shape: Shape = WIDE) -> list[Part]:
    """Return all boxes."""
    by_kind = {kind.name: kind for kind in kinds}
    live, followed = now.feeds
    followers = "followers unknown" if now.followers is None else counted(now.followers, "follower")
    feed_trouble = ("error", f"{live} of {followed} live") if live < followed else ("", "")

    def box(place: str, *words: str) -> Part:
        x, y = shape.places[place]
        return Part(x, y, shape.box_width, shape.box_height, *words)

    def actor(place: str, title: str, kind: str, role: str = "") -> Part:
        group = [each for each in by_kind[kind].groups if each["role"].startswith(role)]
        return box(
            place, title, _all_well(by_kind[kind], group), _address(by_kind[kind], role), "actor", *_trouble(group)
        )

    def server(place: str, title: str, line: str, name: str, kind: str = "store") -> Part:
        trouble = ("error", "does not answer") if name in now.failing else ("", "")
        return box(place, title, line, "/system", kind, *trouble)

    return [
        box("provider", short_name(provider), f"{live} of {followed} feeds live", "/", "outside", *feed_trouble),
        actor("live", "Producer, live", "producer", LIVE_ROLE),
        actor("history", "Producer, history", "producer", HISTORY_ROLE),
        actor("topics", "Producer, topics", "producer", "producer-topic"),
        server(TICK, "tick-data", "topic", "stream", "topic"),
        server(CANDLE, "candle-data", "topic", "stream", "topic"),
        server(DYNAMIC, "dynamic topics", counted(now.streams, "stream"), "stream", "topic"),
        actor("trades", "Consumer, trades", "fixedtopicconsumer", "fixed-tick"),
        actor("candles", "Consumer, candles", "fixedtopicconsumer", "fixed-candle"),
        actor("copies", "Consumer, dynamic", "dynamictopicconsumer"),
        server("database", "Database", _rate(now, "trades stored", "trades/s"), "database"),
        server("cache", "Cache", _rate(now, "batches", "updates/s"), "cache"),
        box("api", "API", _rate(now, "requests", "calls/s"), "/api/v1/docs", "outside"),
        box("streams", "Streams", followers, "/streams", "outside"),
        actor("coordinator", "Coordinator", "coordinator"),
        actor("requests", "Datastore requests", "datastorerequest"),
    ]


def short_name(providers: str) -> str:
    """Return of the names that providers give themselves, joined by commas, what fits into a box."""
    names = list(dict.fromkeys(name.partition("/")[0] for name in providers.split(", ")))
    joined = ", ".join(names)
    return joined if len(joined) <= MAX_TITLE_CHARS else f"{len(names)} providers"


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


def _all_well(kind: Kind, group: Iterable[Mapping[str, int | str]]) -> str:
    """Return the state of the only actor of a box, or how many of several are at work."""
    rows = list(group)
    total = _sum(rows)
    if total <= 1:
        return label(kind.model, str(rows[0]["state"])) if rows else "none now"
    resting = _sum(row for row in rows if row["state"] in RESTING)
    return f"{total - resting} of {total} at work"


def _sum(rows: Iterable[Mapping[str, int | str]]) -> int:
    return sum(int(row["n"]) for row in rows)


def _address(kind: Kind, role: str) -> str:
    """Return the page of the only actor of a role, else that of its kind."""
    rows = [row for row in kind.rows if row.actor.role.startswith(role)]
    alone = sum(group["n"] for group in kind.groups if group["role"].startswith(role)) == 1
    return rows[0].url if alone and rows else f"/actors/{kind.name}"


def flows(now: Figures, shape: Shape = WIDE) -> list[Flow]:
    """Return all arrows: data first, then instructions."""

    def link(source: str, target: str, *lines: str, at: float = 0.5, shift: tuple[float, float] = (0, 0)) -> Flow:
        busy = any(line[0] not in "0-l" for line in lines)  # neither nothing, nor unknown, nor a lag
        return _link(shape, source, target, lines, busy, at, shift)

    def read(topic: str, consumer: str) -> Flow:
        return link(topic, consumer, _rate(now, f"records {topic}", "rec/s"), _lag(now, topic))

    received = _rate(now, "trades received", "trades/s")
    stores = [
        link(consumer, store, shift=shift)
        for consumer in ("trades", "candles", "copies")
        for store, shift in (("database", (-4, -4)), ("cache", (4, 4)))
    ]
    told = {
        "ask": (counted(now.requests, "question"), now.requests),
        "fetch": (f"{now.fetches:,} under way" if shape.level else counted(now.fetches, "job"), now.fetches),
        "instruct": ("instructs to fetch", now.fetches),
        "create": ("create topic", 0),
        "subscribe": (f"subscribe, {counted(now.streams, 'stream')}", now.streams),
    }
    return [
        link("provider", "live", received, shift=(-8, 0)),
        link("provider", "history", _rate(now, "calls", "calls/s")),
        link("live", TICK, received),
        link("history", CANDLE),
        link("live", DYNAMIC, *(["copies"] if now.streams else []), at=0.62, shift=(8, -8)),
        link("topics", DYNAMIC),
        read(TICK, "trades"),
        read(CANDLE, "candles"),
        read(DYNAMIC, "copies"),
        *stores,
        link("database", "api", _rate(now, "answers database", "answers/s")),
        link("cache", "api", _rate(now, "answers ready", "from cache/s"), at=shape.at_api, shift=(0, 10)),
        link("cache", "streams", _rate(now, "events", "events/s"), shift=(8, 8)),
        *(Flow(*shape.told[name], (text,), bool(count), dashed=True) for name, (text, count) in told.items()),
    ]


def _link(
    shape: Shape, source: str, target: str, lines: tuple[str, ...], busy: bool, at: float, shift: tuple[float, float]
) -> Flow:
    """Return an arrow between two boxes; shift: how far its ends are beside the middles of their sides."""
    (x, y), (to_x, to_y) = shape.places[source], shape.places[target]
    if shape.level:
        start, stop = (x + shape.box_width / 2 + 1, y + shift[0]), (to_x - shape.box_width / 2 - 4, to_y + shift[1])
        bend = ((stop[0] - start[0]) / 2, 0.0)
    else:
        start, stop = (x + shift[0], y + shape.box_height / 2 + 1), (to_x + shift[1], to_y - shape.box_height / 2 - 4)
        bend = (0.0, (stop[1] - start[1]) / 2)
    path = (
        f"M{start[0]:g} {start[1]:g}C{start[0] + bend[0]:g} {start[1] + bend[1]:g} "
        f"{stop[0] - bend[0]:g} {stop[1] - bend[1]:g} {stop[0]:g} {stop[1]:g}"
    )
    words_x, words_y = (begin + (end - begin) * at for begin, end in zip(start, stop, strict=True))
    if start[1] == stop[1]:
        return Flow(path, words_x, words_y - BESIDE, lines, busy, step=2 * BESIDE)
    return Flow(path, words_x, words_y - LABEL_HEIGHT * (len(lines) - 1) / 2, lines, busy)


def _rate(now: Figures, name: str, unit: str) -> str:
    """Return how often something happens per second, a dash before that is known."""
    if not now.rates:
        return f"- {unit}"
    rate = now.rates.get(name, 0.0)
    return f"{rate:,.0f} {unit}" if rate >= 9.95 or rate < 0.05 else f"{rate:.1f} {unit}"


def _lag(now: Figures, topic: str) -> str:
    return f"lag {now.lags[topic]:,}" if topic in now.lags else "lag unknown"
