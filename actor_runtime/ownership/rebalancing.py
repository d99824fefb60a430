"""Many rows of one chart, shared out among the processes that live.

Everybody sees the same rows and reckons alone: a share is the rows by the number of living owners. A process takes
free and stale rows up to its share. Where none is free and it has less than its share, it takes rows at rest from
owners that have more: so a process that joins late, or comes back, gets its part, and nobody has to know of it
before. The others notice by the epoch, as with any takeover.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from actor_runtime.errors import Fenced
from actor_runtime.models import Actor, with_silence
from actor_runtime.ownership.claims import is_idle_state, steal_between_turns, take_over, takeable
from actor_runtime.ownership.process_identity import is_gone

AT_ONCE = 25  # rows per look, or a quarter where that is more: what one process is slow to take is left to others
LEFT_OVER = "left over by this process itself"


class Seen(NamedTuple):
    """A row that is not retired, as it was at a look."""

    name: str
    epoch: int
    owner: str
    state: str
    heartbeat_at: datetime | None
    silence: timedelta | None


class ClaimCandidate(NamedTuple):
    """A row to take, why, and whether its owner lives."""

    row: Seen
    reason: str
    alive: bool = False


def rows_at_work(model: type[Actor]) -> list[Seen]:
    """Return the rows of a chart that are not retired."""
    rows = with_silence(model._default_manager.filter(retired_at=None).order_by())
    return [Seen(*row) for row in rows.values_list(*Seen._fields)]


def make_rows(model: type[Actor], names: Collection[str]) -> None:
    """Make free rows of these names; those that are there stay as they are."""
    model._default_manager.bulk_create([model(name=name) for name in names], ignore_conflicts=True)


def free_rows(rows: Sequence[Seen], me: str, mine: Collection[str]) -> list[ClaimCandidate]:
    """Return the rows that nobody alive owns; mine: the names that this process works on."""
    gone = cache(is_gone)  # asked once per owner
    found: list[ClaimCandidate] = []
    for row in rows:
        if row.name not in mine and (reason := LEFT_OVER if row.owner == me else takeable(row, gone)) is not None:
            found.append(ClaimCandidate(row, reason))
    return found


def choose(model: type[Actor], rows: Sequence[Seen], me: str, mine: Collection[str]) -> list[ClaimCandidate]:
    """Return which of these rows this process should take now."""
    free = free_rows(rows, me, mine)
    lost = {choice.row.name for choice in free}
    loads = Counter({me: 0}) + Counter(row.owner for row in rows if row.name not in lost)
    owners = len({me, *loads})
    if not free:
        return _surplus(model, rows, me, loads, len(rows) // owners)
    room = -(-len(rows) // owners) - loads[me]
    # By chance: two that look at the same moment should not run for the same rows.
    return random.sample(free, max(0, min(room, len(free), max(AT_ONCE, len(free) // 4))))


def _surplus(
    model: type[Actor], rows: Sequence[Seen], me: str, loads: Counter[str], share: int
) -> list[ClaimCandidate]:
    found: list[ClaimCandidate] = []
    left = loads.copy()
    for row in random.sample(rows, len(rows)):
        if len(found) >= min(AT_ONCE, share - loads[me]):
            break
        if row.owner != me and left[row.owner] > share and is_idle_state(model, row.state):
            left[row.owner] -= 1
            reason = f"{row.owner} had {loads[row.owner]} of {len(rows)}, the share is {share}"
            found.append(ClaimCandidate(row, reason, alive=True))
    return found


def claim_all(model: type[Actor], choices: Sequence[ClaimCandidate], me: str) -> list[Actor]:
    """Take the chosen rows; those to which somebody else came first are left out."""
    taken: list[Actor] = []
    for choice in choices:
        with suppress(Fenced, model.DoesNotExist):
            if choice.alive:
                taken.append(steal_between_turns(model, choice.row, choice.reason, me))
            else:
                taken.append(take_over(model, choice.row, choice.reason, owner=me, by=me))
    return taken
