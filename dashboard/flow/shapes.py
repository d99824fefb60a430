"""Boxes and arrows of the picture, and where each is: for wide screens from left to right, for phones downwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dashboard.rates import CANDLE, DYNAMIC, TICK

LABEL_CHAR, LABEL_HEIGHT = 6.3, 15  # of the words on an arrow, in pixels


@dataclass(frozen=True, slots=True)
class Part:
    """A box: an actor, a topic, a server, or who is outside. level and word: what is wrong with it, if anything."""

    x: float  # of its middle
    y: float
    width: float
    height: float
    title: str
    line: str
    url: str
    kind: str  # actor, topic, store or outside: its shape
    level: str = ""
    word: str = ""

    @property
    def left(self) -> float:
        """Return the x of the left edge."""
        return self.x - self.width / 2

    @property
    def top(self) -> float:
        """Return the y of the upper edge."""
        return self.y - self.height / 2

    @property
    def rows(self) -> list[tuple[str, str, float]]:
        """Return the lines of words: class, text, and the y of the middle."""
        words = [("title", self.title), ("word" if self.word else "line", self.word or self.line)]
        return [(name, text, self.y - 10 + 20 * number) for number, (name, text) in enumerate(words)]


class Flow(NamedTuple):
    """An arrow: its course, where its words are, what they say, and whether something flows now."""

    path: str
    x: float
    y: float
    lines: tuple[str, ...]
    busy: bool
    dashed: bool = False  # instructions, not data
    step: float = LABEL_HEIGHT  # from line to line

    @property
    def rows(self) -> list[tuple[str, float, float, float, float]]:
        """Return each line of words: text, the y of its middle, and left, top and width of its plate."""
        return [
            (text, y, self.x - len(text) * LABEL_CHAR / 2, y - LABEL_HEIGHT / 2, len(text) * LABEL_CHAR)
            for number, text in enumerate(self.lines)
            for y in [self.y + self.step * number]
        ]


class Shape(NamedTuple):
    """Where everything is, in pixels: the middles of the boxes; the courses of the instructions and their words."""

    name: str
    width: float
    height: float
    box_width: float
    box_height: float
    level: bool  # the data goes from left to right, else downwards
    at_api: float  # where the words are between cache and API, 0 to 1: beside those of other arrows
    places: Mapping[str, tuple[float, float]]
    told: Mapping[str, tuple[str, float, float]]


WIDE = Shape(
    name="wide",
    width=1336,
    height=410,
    box_width=152,
    box_height=58,
    level=True,
    at_api=0.42,
    places={
        "provider": (80, 150),
        "live": (314, 46),
        "history": (314, 150),
        "topics": (314, 254),
        TICK: (548, 46),
        CANDLE: (548, 150),
        DYNAMIC: (548, 254),
        "trades": (782, 46),
        "candles": (782, 150),
        "copies": (782, 254),
        "database": (1016, 84),
        "cache": (1016, 216),
        "api": (1246, 84),
        "streams": (1246, 216),
        "coordinator": (548, 366),
        "requests": (1016, 366),
    },
    told={
        "ask": ("M1323 84H1330V366H1096", 1246, 366),
        "fetch": ("M939 366H628", 782, 366),
        "instruct": ("M471 366H206V166H234", 314, 366),
        "create": ("M508 336L344 287", 424, 310),
        "subscribe": ("M588 336L752 287", 676, 310),
    },
)
TALL = Shape(
    name="tall",
    width=380,
    height=806,
    box_width=116,
    box_height=50,
    level=False,
    at_api=0.5,
    places={
        "provider": (120, 30),
        "live": (62, 136),
        "history": (188, 136),
        "topics": (314, 136),
        TICK: (62, 252),
        CANDLE: (188, 252),
        DYNAMIC: (314, 252),
        "trades": (62, 372),
        "candles": (188, 372),
        "copies": (314, 372),
        "database": (100, 492),
        "cache": (260, 492),
        "api": (100, 606),
        "streams": (260, 606),
        "requests": (100, 742),
        "coordinator": (280, 742),
    },
    told={
        "ask": ("M100 632V713", 100, 668),
        "fetch": ("M159 742H218", 188, 718),
        "instruct": ("M222 724V692H376V190H188V165", 300, 692),
        "create": ("M338 742H376V190H314V165", 300, 774),
        "subscribe": ("M338 742H376V425H314V401", 300, 790),
    },
)
