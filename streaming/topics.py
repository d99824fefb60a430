"""The table of topics. Names are legal on Kafka: letters, digits and `-`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """One fixed topic; every record is keyed by its market."""

    name: str
    partitions: int  # where the broker has partitions; the key decides which


TICK_DATA = Topic("tick-data", partitions=8)
FIXED = {topic.name: topic for topic in (TICK_DATA,)}
