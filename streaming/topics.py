"""The table of topics. Their names are legal on every broker: letters, digits and `-`."""

from __future__ import annotations

import re
from dataclasses import dataclass

LEGAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,199}")


@dataclass(frozen=True, slots=True)
class Topic:
    """One fixed topic; every record is keyed by its market."""

    name: str
    partitions: int  # if the broker has partitions; the key decides which


TICK_DATA = Topic("tick-data", partitions=8)
CANDLE_DATA = Topic("candle-data", partitions=8)
CONSUMER_GROUP = "candlekeep"  # what our consumers have stored is committed under this name
FIXED_TOPICS = {topic.name: topic for topic in (TICK_DATA, CANDLE_DATA)}

DYNAMIC_LABEL = "dynamic"  # the label of all topics made at run time, since labels must be few
_DYNAMIC_PREFIX = "dyn-"


def metric_label(name: str) -> str:
    """Return the metric label of a topic: its name, or one word for all topics made at run time."""
    return DYNAMIC_LABEL if name.startswith(_DYNAMIC_PREFIX) else name


def checked_name(name: str) -> str:
    """Return the topic's name; raise ValueError unless every broker accepts it."""
    if not LEGAL_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a topic name: 1 to 200 letters, digits and '-', not '-' first")
    return name
