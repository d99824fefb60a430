"""A chart as a drawing: boxes on a grid, arrows that keep clear of boxes and of each other's words."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from actor_runtime.charts import Edge, edges, label
from actor_runtime.models import ERROR, Actor

Point = tuple[float, float]
COLUMN, ROW = 312.0, 132.0  # from box to box
WIDTH, HEIGHT = 142.0, 46.0  # of a box
LETTER, LINE = 6.1, 15.0  # of words
BENDS = (0, 34, -34, 60, -60, 90, -90, 130, -130, 175, -175, 225, -225)
ALONG = (0.5, 0.4, 0.6, 0.3, 0.7)
STEPS = [number / 20 for number in range(21)]


@dataclass(frozen=True)
class Box:
    """A rectangle by its centre, a state's or that of an arrow's words."""

    x: float
    y: float
    width: float = WIDTH
    height: float = HEIGHT
    state: str = ""
    lines: tuple[str, ...] = ()

    @property
    def left(self) -> float:
        """Return where the box begins."""
        return self.x - self.width / 2

    @property
    def top(self) -> float:
        """Return where the box begins, from above."""
        return self.y - self.height / 2

    @property
    def rows(self) -> list[tuple[str, float]]:
        """Return each line of words with the height of its middle."""
        top = self.y - LINE * (len(self.lines) - 1) / 2
        return [(line, top + LINE * number) for number, line in enumerate(self.lines)]

    def holds(self, point: Point, room: float = 0) -> bool:
        """Say whether the point lies in the box or within `room` of it."""
        return abs(point[0] - self.x) < self.width / 2 + room and abs(point[1] - self.y) < self.height / 2 + room

    def touches(self, other: Box) -> bool:
        """Say whether two boxes overlap."""
        wide, high = (self.width + other.width) / 2, (self.height + other.height) / 2
        return abs(self.x - other.x) < wide and abs(self.y - other.y) < high

    def edge_towards(self, point: Point) -> Point:
        """Return where the line from the centre to the point leaves the box."""
        dx, dy = point[0] - self.x, point[1] - self.y
        share = 1 / max(abs(dx) / (self.width / 2 + 2), abs(dy) / (self.height / 2 + 2), 1e-9)
        return self.x + dx * share, self.y + dy * share


@dataclass(frozen=True)
class Arrow:
    """A quadratic curve with its words."""

    start: Point
    control: Point
    stop: Point
    words: Box
    kind: str  # failure, reset or plain

    def at(self, t: float) -> Point:
        """Return the point at t of the curve, 0 to 1."""
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
        x, y = ((a * p + b * q + c * r) for p, q, r in zip(self.start, self.control, self.stop, strict=True))
        return x, y

    @cached_property
    def course(self) -> list[Point]:
        """Return points along the curve."""
        return [self.at(t) for t in STEPS]

    @property
    def path(self) -> str:
        """Return the curve in SVG's words."""
        (ax, ay), (bx, by), (cx, cy) = self.start, self.control, self.stop
        return f"M{ax:.1f} {ay:.1f}Q{bx:.1f} {by:.1f} {cx:.1f} {cy:.1f}"


@dataclass(frozen=True)
class Drawing:
    """All of a chart but the state at hand."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    view: str
    width: float


def svg(model: type[Actor], state: str | None = None) -> SafeString:
    """Return the model's chart as SVG, one state lit."""
    return render_to_string("admin/actors/chart.svg", {"drawing": drawing(model), "lit": state, "model": model._meta})


@cache
def drawing(model: type[Actor]) -> Drawing:
    """Return where everything stands; the same for every actor of the kind."""
    boxes = {state: _box(model, state) for state in model.places}
    arrows: list[Arrow] = []
    for (source, target), events in _pairs(model).items():
        tries = _tries(boxes[source], boxes[target], events, _kind(source, target))
        arrows.append(min(tries, key=lambda arrow: _cost(arrow, list(boxes.values()), arrows, (source, target))))
    return Drawing(tuple(boxes.values()), tuple(arrows), *_view(list(boxes.values()), arrows))


def _box(model: type[Actor], state: str) -> Box:
    column, row = model.places[state]
    return Box(column * COLUMN, row * ROW, state=state, lines=tuple(textwrap.wrap(label(model, state), 18)))


def _pairs(model: type[Actor]) -> dict[tuple[str, str], list[str]]:
    """Return the events from state to state, longest way last: short arrows choose their place first."""
    pairs: dict[tuple[str, str], list[str]] = {}
    for edge in sorted(edges(model), key=lambda edge: _length(model, edge)):
        pairs.setdefault((edge.source, edge.target), []).append(edge.event)
    return pairs


def _length(model: type[Actor], edge: Edge) -> float:
    return math.dist(model.places[edge.source], model.places[edge.target])


def _kind(source: str, target: str) -> str:
    if ERROR in (source, target):
        return "failure" if target == ERROR else "reset"
    return "plain"


def _tries(source: Box, target: Box, events: list[str], kind: str) -> Iterator[Arrow]:
    """Yield the arrow with every bend, its words at every place along it."""
    dx, dy = target.x - source.x, target.y - source.y
    length = math.hypot(dx, dy)
    wide, high = max(map(len, events)) * LETTER, len(events) * LINE
    for bend, along in product(BENDS, ALONG):
        control = (
            (source.x + target.x - 2 * bend * dy / length) / 2,
            (source.y + target.y + 2 * bend * dx / length) / 2,
        )
        start, stop = source.edge_towards(control), target.edge_towards(control)
        bare = Arrow(start, control, stop, source, kind)
        x, y = bare.at(along)
        yield Arrow(start, control, stop, Box(x, y, wide, high, lines=tuple(events)), kind)


def _cost(arrow: Arrow, boxes: list[Box], others: list[Arrow], ends: tuple[str, str]) -> float:
    """Return how much an arrow is in the way: of boxes most, then of words, then of other arrows."""
    course = arrow.course
    through = sum(box.holds(point, 8) for box in boxes if box.state not in ends for point in course)
    covered = sum(arrow.words.touches(box) for box in boxes) + sum(arrow.words.touches(other.words) for other in others)
    struck = sum(arrow.words.holds(point, 2) for other in others for point in other.course)
    struck += sum(other.words.holds(point, 2) for other in others for point in course)
    close = sum(math.dist(point, other.course[len(STEPS) // 2]) < 30 for other in others for point in course)
    bend = math.dist(arrow.control, ((arrow.start[0] + arrow.stop[0]) / 2, (arrow.start[1] + arrow.stop[1]) / 2))
    return 1000 * through + 800 * covered + 120 * struck + 10 * close + bend


def _view(boxes: list[Box], arrows: list[Arrow]) -> tuple[str, float]:
    everything = boxes + [arrow.words for arrow in arrows]
    points = [point for arrow in arrows for point in arrow.course]
    left = min([box.left for box in everything] + [x for x, _ in points]) - 12
    right = max([box.x + box.width / 2 for box in everything] + [x for x, _ in points]) + 12
    top = min([box.top for box in everything] + [y for _, y in points]) - 12
    bottom = max([box.y + box.height / 2 for box in everything] + [y for _, y in points]) + 12
    return f"{left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}", round(right - left)
