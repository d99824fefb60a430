"""A chart as a drawing: boxes on a grid, and arrows that avoid boxes and each other's words.

Three sizes: with the events beside their arrows, with the events and how often each happens, and small, with only how
often. The admin shows the first, the pages show the others.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import NamedTuple

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from actor_runtime.charts import AUTOMATIC, Edge, edges, label
from actor_runtime.models import ERROR, Actor

Point = tuple[float, float]
Rates = Mapping[Edge, float]  # transitions per minute, by event in upper case and states
# In pixels.
BOX_WIDTH, BOX_HEIGHT = 142.0, 46.0
CHAR_WIDTH, LINE_HEIGHT = 6.1, 15.0  # of words
BENDS = (0, 34, -34, 60, -60, 90, -90, 130, -130, 175, -175, 225, -225)
WORD_PLACES = (0.5, 0.4, 0.6, 0.3, 0.7)  # along an arrow, 0 to 1
CURVE_STEPS = [number / 20 for number in range(21)]


class Layout(NamedTuple):
    """How much room there is, and what is written beside an arrow."""

    column_width: float  # from box to box, in pixels
    row_height: float
    has_events: bool
    has_rates: bool


WITH_EVENTS = Layout(312, 132, True, False)
WITH_RATES = Layout(312, 138, True, True)
SMALL = Layout(214, 92, False, True)
RATE_CHARS = 9  # of "1,234/min"


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
    def label(self) -> str:
        """Return the words as one line."""
        return " ".join(self.lines)

    @property
    def count_x(self) -> float:
        """Return the x of the middle of a number at the upper right corner."""
        return self.x + self.width / 2 - 8

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
    edges: tuple[Edge, ...] = ()

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
    def title(self) -> str:
        """Return the words that a pointer on the arrow shows."""
        return " or ".join(edge.event for edge in self.edges)

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
    kinds: tuple[str, ...] = ("plain", "failure", "reset")


def svg(
    model: type[Actor],
    lit: str | Mapping[str, int] | None = None,
    rates: Rates | None = None,
    layout: Layout = WITH_EVENTS,
) -> SafeString:
    """Return the model's chart as SVG. lit: the current state, or how many actors are in which state."""
    counts = lit if isinstance(lit, Mapping) else {}
    states = set(counts) if isinstance(lit, Mapping) else {lit}
    drawn = drawing(model, layout)
    shown = [(arrow, captions(arrow, rates or {}, layout)) for arrow in drawn.arrows]
    context = {
        "drawing": drawn,
        "model": model._meta,
        "arrows": [(arrow, words, any(each.is_rate for each in words)) for arrow, words in shown],
        "boxes": [(box, box.state in states, counts.get(box.state)) for box in drawn.boxes],
    }
    return render_to_string("admin/actors/chart.svg", context)


class Caption(NamedTuple):
    """One line of words beside an arrow: its text and the y of its middle; is_rate: whether the text is a rate."""

    text: str
    y: float
    is_rate: bool

    @property
    def top(self) -> float:
        """Return the y of the upper edge of the line."""
        return self.y - LINE_HEIGHT / 2


def captions(arrow: Arrow, rates: Rates, layout: Layout) -> list[Caption]:
    """Return the words beside an arrow; an event that does not happen has no rate."""
    often = [per_minute(edge, rates) for edge in arrow.edges]
    if not layout.has_events:
        text = rate_text(sum(often))
        return [Caption(text, arrow.words.y, True)] if text else []
    lines: list[Caption] = []
    step = LINE_HEIGHT * (1 + layout.has_rates)
    top = arrow.words.y - step * len(often) / 2 + LINE_HEIGHT / 2
    for number, (edge, rate) in enumerate(zip(arrow.edges, often, strict=True)):
        text = rate_text(rate) if layout.has_rates else ""
        # An event alone is in the middle of the room for both.
        y = top + step * number + (LINE_HEIGHT / 2 if layout.has_rates and not text else 0)
        lines.append(Caption(edge.event, y, False))
        lines += [Caption(text, y + LINE_HEIGHT, True)] if text else []
    return lines


def per_minute(edge: Edge, rates: Rates) -> float:
    """Return how often an arrow's event happens; of an automatic one, whatever leads from its source to its target."""
    if edge.event != AUTOMATIC:
        return rates.get(edge, 0.0)
    ends = (edge.source, edge.target)
    return sum(rate for other, rate in rates.items() if (other.source, other.target) == ends)


def rate_text(rate: float) -> str:
    """Return transitions per minute in words, nothing for none."""
    return f"{rate:,.0f}/min" if rate >= 9.95 else f"{rate:.1f}/min" if rate >= 0.05 else ""


@cache
def drawing(model: type[Actor], layout: Layout = WITH_EVENTS) -> Drawing:
    """Return where everything is; the same for every actor of the kind."""
    boxes: dict[str, Box] = {}
    for state, (column, row) in model.places.items():
        lines = tuple(textwrap.wrap(label(model, state), 18))
        boxes[state] = Box(column * layout.column_width, row * layout.row_height, state=state, lines=lines)

    # Short arrows choose their place first; the events between the same two states share an arrow.
    def length(edge: Edge) -> float:
        return math.dist(model.places[edge.source], model.places[edge.target])

    between: dict[tuple[str, str], list[Edge]] = {}
    for edge in sorted(edges(model), key=length):
        between.setdefault((edge.source, edge.target), []).append(edge)

    arrows: list[Arrow] = []
    for (source, target), shared in between.items():
        candidates = _candidates(boxes[source], boxes[target], tuple(shared), layout)
        arrows.append(min(candidates, key=lambda arrow: _cost(arrow, list(boxes.values()), arrows, (source, target))))

    everything = list(boxes.values()) + [arrow.words for arrow in arrows]
    points = [point for arrow in arrows for point in arrow.course]
    left = min([box.left for box in everything] + [x for x, _ in points]) - 12
    right = max([box.x + box.width / 2 for box in everything] + [x for x, _ in points]) + 12
    top = min([box.top for box in everything] + [y for _, y in points]) - 12
    bottom = max([box.y + box.height / 2 for box in everything] + [y for _, y in points]) + 12
    view_box = f"{left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}"
    return Drawing(tuple(boxes.values()), tuple(arrows), view_box, round(right - left))


def _candidates(source: Box, target: Box, shared: tuple[Edge, ...], layout: Layout) -> Iterator[Arrow]:
    """Yield the arrow with every bend, its words at every place along it."""
    dx, dy = target.x - source.x, target.y - source.y
    length = math.hypot(dx, dy)
    kind = "failure" if target.state == ERROR else "reset" if source.state == ERROR else "plain"
    events = tuple(edge.event for edge in shared) if layout.has_events else ()
    wide = max([RATE_CHARS * layout.has_rates, *map(len, events)]) * CHAR_WIDTH
    high = (max(len(events), 1) * (1 + layout.has_rates) if events else 1) * LINE_HEIGHT
    for bend, along in product(BENDS, WORD_PLACES):
        control = (
            (source.x + target.x - 2 * bend * dy / length) / 2,
            (source.y + target.y + 2 * bend * dx / length) / 2,
        )
        start, stop = source.edge_towards(control), target.edge_towards(control)
        bare = Arrow(start, control, stop, source, kind)
        x, y = bare.at(along)
        yield Arrow(start, control, stop, Box(x, y, wide, high, lines=events), kind, shared)


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
