"""A chart as data, read from the transition methods of its model."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from actor_runtime.models import ERROR, Actor

AUTOMATIC = "(automatic)"


class Edge(NamedTuple):
    """One arrow of a chart: event in upper case, states as stored."""

    event: str
    source: str
    target: str


@cache
def edges(model: type[Actor]) -> tuple[Edge, ...]:
    """Return every arrow of the model's chart, in the order of its states."""
    order = [str(value) for value in model.State.values]
    found = [
        Edge(AUTOMATIC if arrow.custom.get("automatic") else arrow.name.upper(), str(arrow.source), str(target))
        for arrow in model.state.field.get_all_transitions(model)
        for target in getattr(arrow.target, "allowed_states", [arrow.target])
    ]
    return tuple(sorted(found, key=lambda edge: (order.index(edge.source), order.index(edge.target), edge.event)))


@cache
def failure_event(model: type[Actor], state: str) -> str | None:
    """Return the name of the method that leads from state to Error, None if the chart has no such arrow."""
    return next((edge.event.lower() for edge in edges(model) if (edge.source, edge.target) == (state, ERROR)), None)


def label(model: type[Actor], state: str) -> str:
    """Return the spec's word for a state."""
    return str(model.State(state).label)
