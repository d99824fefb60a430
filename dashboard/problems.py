"""What is wrong now, in words, each with what to do about it; the newest answer serves all who ask within a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from django.db.models import QuerySet

from actor_runtime.admin import error_story, span
from actor_runtime.models import ERROR, actor_models
from config.monitoring.cached_answer import CachedAnswer
from config.monitoring.health import failing_parts
from datastore.models import DatastoreRequest, DeadLetter, GapRepair
from datastore.quality.freshness import LIVE, proven_markets
from datastore.wording import counted


class Level(IntEnum):
    """How urgent it is."""

    NOTICE = 1  # worth a look
    WARNING = 2  # data is late or missing; Candlekeep is at it
    ERROR = 3  # does not mend itself, or nobody can rely on the data

    @property
    def word(self) -> str:
        """Return the word for it, which is also its class of style."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; url: the page that shows it."""

    level: Level
    title: str
    detail: str
    remedy: str
    url: str


def open_problems() -> list[Problem]:
    """Return what is wrong, the worst first. Raises DatabaseError."""
    return _known.get()


def _look() -> list[Problem]:
    found = [*_servers(), *_actors(), *_feeds(), *_gaps(), *_dead_letters()]
    return sorted(found, key=lambda problem: -problem.level)


_known = CachedAnswer(_look)


def _servers() -> Iterator[Problem]:
    for server, reason in failing_parts().items():
        remedy = "The log of `manage.py up` says more. What depends on it waits, and goes on by itself."
        yield Problem(Level.ERROR, f"{server.capitalize()} does not answer", reason, remedy, "/system")


def _actors() -> Iterator[Problem]:
    for model in actor_models():
        if model is DatastoreRequest:  # its reader got the error
            continue
        errors: QuerySet[Any] = model._default_manager.filter(retired_at=None, state=ERROR).order_by("name")  # type: ignore[misc]
        for actor in errors:
            remedy = (
                f"Resets itself at {actor.reset_at:%H:%M:%S} UTC."
                if actor.reset_at
                else "It waits for a person: mend the cause, then reset it."
            )
            url = f"/actors/{model._meta.model_name}/{actor.name}"
            yield Problem(Level.ERROR, f"{actor.name} is in Error", error_story(actor), remedy, url)


def _feeds() -> Iterator[Problem]:
    for market in proven_markets():
        if market.state == LIVE:
            continue
        url, remedy = f"/markets/{market.symbol}", "The live Producer reconnects by itself; /actors shows what it does."
        if market.refusal:
            yield Problem(Level.ERROR, f"{market.symbol} is refused", market.refusal, "Retire it, or ask why.", url)
        elif market.age is None:
            yield Problem(Level.NOTICE, f"{market.symbol} has no data yet", "Its feed has proven nothing.", remedy, url)
        else:
            detail = f"Its feed has proven nothing for {span(market.age)}."
            yield Problem(Level.WARNING, f"{market.symbol} is stale", detail, remedy, url)


def _gaps() -> Iterator[Problem]:
    if count := GapRepair.objects.filter(final=False).count():
        remedy = "Gaps are asked for again by themselves; the page says when."
        yield Problem(Level.WARNING, f"{counted(count, 'gap')} not filled yet", "", remedy, "/gaps")


def _dead_letters() -> Iterator[Problem]:
    if count := DeadLetter.objects.count():
        remedy = "Look at the reasons; what can be stored now can be replayed."
        yield Problem(Level.NOTICE, f"{counted(count, 'dead letter')}", "Could not be stored.", remedy, "/dead-letters")
