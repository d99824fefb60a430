"""Many rows of one chart, shared out among the processes that live.

Every process sees the same rows and decides alone. A share is the number of rows divided by the number of live owners.
A process claims free and stale rows up to its share. If none is free and it has less than its share, it takes idle rows
from owners that have more, so that a process that joins late or comes back gets its share without being announced. The
others notice by the epoch, as with any takeover.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from actor_runtime.models import Actor, with_silence
from actor_runtime.ownership.claims import is_idle_state, reason_to_claim, take_over_all
from actor_runtime.ownership.process_identity import is_gone

MAX_CLAIMS = 25  # rows at a time, or a quarter of the free ones if that is more: the rest is left to faster processes
LEFT_OVER_BY_US = "left over by this process itself"


class ActorSnapshot(NamedTuple):
    """A row that is not retired, as it was when it was read."""

    name: str
    epoch: int
    owner: str
    state: str
    heartbeat_at: datetime | None
    silence: timedelta | None


class ClaimCandidate(NamedTuple):
    """A row to claim, why, and whether its owner lives."""

    row: ActorSnapshot
    reason: str
    alive: bool = False


def active_rows(model: type[Actor]) -> list[ActorSnapshot]:
    """Return the rows of a chart that are not retired."""
    rows = with_silence(model._default_manager.filter(retired_at=None).order_by())
    return [ActorSnapshot(*row) for row in rows.values_list(*ActorSnapshot._fields)]


def make_rows(model: type[Actor], names: Collection[str]) -> None:
    """Make free rows of these names; existing ones stay as they are."""
    model._default_manager.bulk_create([model(name=name) for name in names], ignore_conflicts=True)


def unowned_rows(rows: Sequence[ActorSnapshot], me: str, mine: Collection[str]) -> list[ClaimCandidate]:
    """Return the rows without a live owner; mine: the names that this process works on."""
    gone = cache(is_gone)  # asked once per owner
    found: list[ClaimCandidate] = []
    for row in rows:
        if (
            row.name not in mine
            and (reason := LEFT_OVER_BY_US if row.owner == me else reason_to_claim(row, gone)) is not None
        ):
            found.append(ClaimCandidate(row, reason))
    return found


def choose_rows(
    model: type[Actor], rows: Sequence[ActorSnapshot], me: str, mine: Collection[str]
) -> list[ClaimCandidate]:
    """Return which of these rows this process should claim now; mine: the names that it works on."""
    free = unowned_rows(rows, me, mine)
    lost = {choice.row.name for choice in free}
    loads = Counter({me: 0}) + Counter(row.owner for row in rows if row.name not in lost)
    owners = len({me, *loads})
    if not free:
        # Idle rows of processes that have more than their share, chosen at random for the same reason as below.
        share = len(rows) // owners
        found: list[ClaimCandidate] = []
        left = loads.copy()
        for row in random.sample(rows, len(rows)):
            if len(found) >= min(MAX_CLAIMS, share - loads[me]):
                break
            if row.owner != me and left[row.owner] > share and is_idle_state(model, row.state):
                left[row.owner] -= 1
                reason = f"{row.owner} had {loads[row.owner]} of {len(rows)}, the share is {share}"
                found.append(ClaimCandidate(row, reason, alive=True))
        return found
    room = -(-len(rows) // owners) - loads[me]
    # At random, so that two processes that look at the same moment don't compete for the same rows.
    return random.sample(free, max(0, min(room, len(free), max(MAX_CLAIMS, len(free) // 4))))


def claim_all(model: type[Actor], choices: Sequence[ClaimCandidate], me: str) -> list[Actor]:
    """Claim the chosen rows; return those that no other process got first."""
    return take_over_all(model, choices, owner=me, by=me)
