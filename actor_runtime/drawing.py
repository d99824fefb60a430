"""A chart as a drawing: boxes on a grid, and arrows that avoid boxes and each other's words."""

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
# In pixels.
COLUMN_WIDTH, ROW_HEIGHT = 312.0, 132.0  # from box to box
BOX_WIDTH, BOX_HEIGHT = 142.0, 46.0
CHAR_WIDTH, LINE_HEIGHT = 6.1, 15.0  # of words
BENDS = (0, 34, -34, 60, -60, 90, -90, 130, -130, 175, -175, 225, -225)
WORD_PLACES = (0.5, 0.4, 0.6, 0.3, 0.7)  # along an arrow, 0 to 1
CURVE_STEPS = [number / 20 for number in range(21)]


@dataclass(frozen=True)
class Box:
    """A rectangle by its centre: a state, or the words of an arrow."""

    x: float
    y: float
    width: float = BOX_WIDTH
    height: float = BOX_HEIGHT
    state: str = ""
    lines: tuple[str, ...] = ()

    @property
    def left(self) -> float:
        """Return the x of the left edge."""
        return self.x - self.width / 2

    @property
    def top(self) -> float:
        """Return the y of the upper edge."""
        return self.y - self.height / 2

    @property
    def rows(self) -> list[tuple[str, float]]:
        """Return each line of words with the y of its middle."""
        top = self.y - LINE_HEIGHT * (len(self.lines) - 1) / 2
        return [(line, top + LINE_HEIGHT * number) for number, line in enumerate(self.lines)]

    def holds(self, point: Point, room: float = 0) -> bool:
        """Return whether the point is in the box or within `room` of it."""
        return abs(point[0] - self.x) < self.width / 2 + room and abs(point[1] - self.y) < self.height / 2 + room

    def touches(self, other: Box) -> bool:
        """Return whether two boxes overlap."""
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
        return [self.at(t) for t in CURVE_STEPS]

    @property
    def path(self) -> str:
        """Return the curve as SVG path data."""
        (ax, ay), (bx, by), (cx, cy) = self.start, self.control, self.stop
        return f"M{ax:.1f} {ay:.1f}Q{bx:.1f} {by:.1f} {cx:.1f} {cy:.1f}"


@dataclass(frozen=True)
class Drawing:
    """A whole chart, without a current state."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    view: str
    width: float


def svg(model: type[Actor], state: str | None = None) -> SafeString:
    """Return the model's chart as SVG, with one state highlighted."""
    return render_to_string("admin/actors/chart.svg", {"drawing": drawing(model), "lit": state, "model": model._meta})


@cache
def drawing(model: type[Actor]) -> Drawing:
    """Return where everything is; the same for every actor of the kind."""
    boxes: dict[str, Box] = {}
    for state, (column, row) in model.places.items():
        lines = tuple(textwrap.wrap(label(model, state), 18))
        boxes[state] = Box(column * COLUMN_WIDTH, row * ROW_HEIGHT, state=state, lines=lines)

    # Short arrows choose their place first; the events between the same two states share an arrow.
    def length(edge: Edge) -> float:
        return math.dist(model.places[edge.source], model.places[edge.target])

    events: dict[tuple[str, str], list[str]] = {}
    for edge in sorted(edges(model), key=length):
        events.setdefault((edge.source, edge.target), []).append(edge.event)

    arrows: list[Arrow] = []
    for (source, target), names in events.items():
        kind = "failure" if target == ERROR else "reset" if source == ERROR else "plain"
        candidates = _candidates(boxes[source], boxes[target], names, kind)
        arrows.append(min(candidates, key=lambda arrow: _cost(arrow, list(boxes.values()), arrows, (source, target))))

    everything = list(boxes.values()) + [arrow.words for arrow in arrows]
    points = [point for arrow in arrows for point in arrow.course]
    left = min([box.left for box in everything] + [x for x, _ in points]) - 12
    right = max([box.x + box.width / 2 for box in everything] + [x for x, _ in points]) + 12
    top = min([box.top for box in everything] + [y for _, y in points]) - 12
    bottom = max([box.y + box.height / 2 for box in everything] + [y for _, y in points]) + 12
    view_box = f"{left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}"
    return Drawing(tuple(boxes.values()), tuple(arrows), view_box, round(right - left))


def _candidates(source: Box, target: Box, events: list[str], kind: str) -> Iterator[Arrow]:
    """Yield the arrow with every bend, its words at every place along it."""
    dx, dy = target.x - source.x, target.y - source.y
    length = math.hypot(dx, dy)
    wide, high = max(map(len, events)) * CHAR_WIDTH, len(events) * LINE_HEIGHT
    for bend, along in product(BENDS, WORD_PLACES):
        control = (
            (source.x + target.x - 2 * bend * dy / length) / 2,
            (source.y + target.y + 2 * bend * dx / length) / 2,
        )
        start, stop = source.edge_towards(control), target.edge_towards(control)
        bare = Arrow(start, control, stop, source, kind)
        x, y = bare.at(along)
        yield Arrow(start, control, stop, Box(x, y, wide, high, lines=tuple(events)), kind)


def _cost(arrow: Arrow, boxes: list[Box], others: list[Arrow], ends: tuple[str, str]) -> float:
    """Return how much an arrow is in the way, of boxes above all, then of words, then of other arrows."""
    course = arrow.course
    through = sum(box.holds(point, 8) for box in boxes if box.state not in ends for point in course)
    covered = sum(arrow.words.touches(box) for box in boxes) + sum(arrow.words.touches(other.words) for other in others)
    struck = sum(arrow.words.holds(point, 2) for other in others for point in other.course)
    struck += sum(other.words.holds(point, 2) for other in others for point in course)
    close = sum(math.dist(point, other.course[len(CURVE_STEPS) // 2]) < 30 for other in others for point in course)
    bend = math.dist(arrow.control, ((arrow.start[0] + arrow.stop[0]) / 2, (arrow.start[1] + arrow.stop[1]) / 2))
    return 1000 * through + 800 * covered + 120 * struck + 10 * close + bend
