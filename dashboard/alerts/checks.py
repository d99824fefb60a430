"""The table of checks, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from redis.exceptions import RedisError

from actor_runtime.reset_policy import reason_of
from config.monitoring.cached_answer import CachedAnswer
from dashboard.alerts import data, platform
from dashboard.alerts.level import Alert, Level, Unchecked
from streaming.errors import StreamError


@dataclass(frozen=True, slots=True)
class Check:
    """Something that is looked at; finds: yields what is wrong with it."""

    name: str
    looked_at: str
    finds: Callable[[], Iterable[Alert]]


@dataclass(frozen=True, slots=True)
class Looked:
    """A check and what it found; unchecked: why it could not be made, "" if it was."""

    check: Check
    alerts: list[Alert]
    unchecked: str = ""


CHECKS = (
    Check("Servers", "database, cache, stream and data folder answer and take a write", platform.servers),
    Check("Disk", "room on the disk of the data folder", platform.disk),
    Check("Actors", "state and sign of life of all actors, and that each role has one", platform.actors),
    Check("Schedules", "schedules that are off or overdue", platform.schedules),
    Check("Clocks", "clocks of the database, of this process and of each provider", platform.clocks),
    Check("Settings", "DEBUG, and real beside simulated prices", platform.configuration),
    Check("Feeds", "that each followed market has a live feed which its provider accepts", data.feeds),
    Check("Gaps", "gaps that are not filled, and what keeps them from being fetched", data.gaps),
    Check("Requests", "requests to the providers that failed within an hour or wait for long", data.fetches),
    Check("Budget", "calls that each provider still allows", data.budget),
    Check("Streams", "streams that failed within a day or could not be made yet", data.streams),
    Check("Dead letters", "records that could not be stored and were not replayed", data.dead_letters),
)


def open_alerts() -> list[Alert]:
    """Return what is wrong, the worst first. Raises DatabaseError."""
    found = [alert for one in looked() for alert in one.alerts]
    return sorted(found, key=lambda alert: -alert.level)


def summary() -> tuple[int, str]:
    """Return how many alerts there are, and the word for the level of the worst. Raises DatabaseError."""
    found = open_alerts()
    return len(found), found[0].level.word if found else ""


def looked() -> list[Looked]:
    """Return every check with what it found. Raises DatabaseError."""
    return _known.get()


def _look() -> list[Looked]:
    return [_looked(check) for check in CHECKS]


def _looked(check: Check) -> Looked:
    """Return what a check finds; one that cannot be made says so, and the others are made."""
    try:
        return Looked(check, list(check.finds()))
    except Unchecked as exc:
        return Looked(check, [], str(exc))
    except (RedisError, StreamError, OSError) as exc:
        title, remedy = f"{check.name} could not be checked", "It is checked again within seconds."
        return Looked(check, [Alert(Level.WARNING, title, reason_of(exc), remedy, "/system")], reason_of(exc))


_known = CachedAnswer(_look)
