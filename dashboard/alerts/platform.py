"""Is the platform itself well: servers, disk, actors, schedules, clocks, settings?"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django_celery_beat.models import PeriodicTask

from actor_runtime.admin import error_story, span
from actor_runtime.models import Actor, actor_models, with_silence
from actor_runtime.ownership.description import is_alive
from config.monitoring.growth import holds_database
from config.monitoring.health import failing_lately
from dashboard.alerts.level import Alert, Level, Unchecked
from datastore.blockers import CANDLE_ROLE
from datastore.db.queries import fetch_all
from datastore.models import DatastoreRequest, ProviderClock
from datastore.reference.provider_registry import live_role
from datastore.wording import counted

FEW_BYTES, FEW_PERCENT = 2_000_000_000, 10  # free on the disk, of which either is worth a warning
TOO_FEW_BYTES = 300_000_000
MAX_CLOCK_DIFFERENCE_S = 2.0
MAX_PROVIDER_DIFFERENCE_S = 5.0
BEAT_SAVES_EVERY = timedelta(minutes=10)  # beat saves its last runs only now and then
TICK_ROLE = "fixed-tick"
CLOCKS = "select steady_now(), clock_timestamp(), uptime() is not null"


def servers() -> Iterator[Alert]:
    """Yield servers that do not answer or take no writes."""
    for server, reason in failing_lately().items():
        remedy = "The log of `manage.py up` says more. What depends on it waits, and goes on by itself."
        yield Alert(Level.ERROR, f"{server.capitalize()} does not answer", reason, remedy, "/system")


def disk() -> Iterator[Alert]:
    """Yield a disk that is nearly full; raise Unchecked if it is another server's."""
    if not holds_database(settings.CANDLEKEEP_HOME):
        raise Unchecked("the database is another server's, whose disk is not seen from here")
    total, _, free = shutil.disk_usage(settings.CANDLEKEEP_HOME)
    if free < FEW_BYTES or free * 100 < total * FEW_PERCENT:
        level = Level.ERROR if free < TOO_FEW_BYTES else Level.WARNING
        detail = f"{free / 1e9:.1f} GB of {total / 1e9:.0f} GB are free where {settings.CANDLEKEEP_HOME} is."
        remedy = "Make room, or lower TICK_RETENTION_DAYS. /system says how fast it grows."
        yield Alert(level, "The disk is nearly full", detail, remedy, "/system")


def actors() -> Iterator[Alert]:
    """Yield actors in Error, actors whose process is silent, and roles that no living process has."""
    alive: set[str] = set()
    for model in actor_models():
        if model is DatastoreRequest:  # one that failed was reported to its reader
            continue
        rows: Iterable[Any] = with_silence(model._default_manager.filter(retired_at=None)).order_by("name")
        for actor in rows:
            alive |= {actor.role, str(model._meta.model_name)} if is_alive(actor) else set()
            yield from _actor(actor)
    for role, (what, command) in _needed().items():
        if role not in alive:
            remedy = f"`manage.py up` restarts it by itself; without that, run `manage.py {command}`."
            yield Alert(Level.ERROR, f"No {what} is running", "Its work waits.", remedy, "/actors")


def _needed() -> dict[str, tuple[str, str]]:
    """Return the roles that a living process must have, each with its words and the command that runs it."""
    return {
        "coordinator": ("Coordinator", "run_coordinator"),
        TICK_ROLE: ("consumer of tick-data", "run_fixed_consumer --topic tick-data"),
        CANDLE_ROLE: ("consumer of candle-data", "run_fixed_consumer --topic candle-data"),
        **{live_role(one): (f"live Producer of {one}", f"run_producer --provider {one}") for one in settings.PROVIDERS},
    }


def _actor(actor: Actor) -> Iterator[Alert]:
    url = f"/actors/{actor._meta.model_name}/{actor.name}"
    silence: timedelta | None = getattr(actor, "silence", None)
    if actor.in_error:
        mended = "It waits for a person: mend the cause, then reset it."
        remedy = f"Resets itself at {actor.reset_at:%H:%M:%S} UTC." if actor.reset_at else mended
        yield Alert(Level.ERROR, f"{actor.name} is in Error", error_story(actor), remedy, url)
    elif actor.owner and not is_alive(actor) and silence is not None:
        detail = f"Its process {actor.owner} has given no sign of life for {span(silence.total_seconds())}."
        remedy = "Another process takes it over by itself; the sweep frees it within a minute."
        yield Alert(Level.WARNING, f"{actor.name} is silent", detail, remedy, url, actor.heartbeat_at)


def schedules() -> Iterator[Alert]:
    """Yield schedules that are switched off, and one alert for all that are overdue."""
    tasks = list(
        PeriodicTask.objects.select_related("interval").exclude(task="celery.backend_cleanup").order_by("name")
    )
    off = [task.name for task in tasks if not task.enabled]
    if off:
        title, remedy = f"{counted(len(off), 'schedule')} switched off", "Switch it on in the admin: Periodic tasks."
        yield Alert(Level.NOTICE, title, ", ".join(off), remedy, "/admin/django_celery_beat/periodictask/")
    now = datetime.now(UTC)
    late = [task.name for task in tasks if task.enabled and task.interval and _is_late(task, now)]
    if late:
        remedy = "Beat or the worker does not run: look at the logs `beat` and `worker` of the data folder."
        yield Alert(Level.WARNING, f"{counted(len(late), 'schedule')} overdue", ", ".join(late), remedy, "/system")


def _is_late(task: Any, now: datetime) -> bool:
    return bool(task.last_run_at and now - task.last_run_at > 3 * task.schedule.run_every + BEAT_SAVES_EVERY)


def clocks() -> Iterator[Alert]:
    """Yield clocks that disagree: spans are measured by steady time, so this harms what people read, not the data."""
    ((steady, wall, is_counted),) = fetch_all(CLOCKS)
    remedy = "Let NTP set the clock. Spans are measured by a count that nobody sets, so no data is wrong by it."
    for what, difference in (
        ("The database's clock was set since its machine started", steady - wall),
        ("This process and the database disagree on the time", wall - datetime.now(UTC)),
    ):
        if abs(difference.total_seconds()) > MAX_CLOCK_DIFFERENCE_S:
            detail = f"They differ by {span(abs(difference.total_seconds()))}."
            yield Alert(Level.WARNING, what, detail, remedy, "/system")
    if not is_counted:
        why = "The database may not read /proc/uptime, so a step of its clock shows for seconds."
        yield Alert(Level.NOTICE, "Time is taken from the clock", why, "See docs/architecture.md, Time.", "/system")
    for clock in ProviderClock.objects.exclude(clock_offset=None).order_by("provider"):
        offset = clock.clock_offset.total_seconds() - (wall - steady).total_seconds() if clock.clock_offset else 0.0
        if abs(offset) > MAX_PROVIDER_DIFFERENCE_S:
            way = "ahead of" if offset > 0 else "behind"
            detail = f"It is {span(abs(offset))} {way} the database's clock. Candles go by the provider's."
            title = f"The clock of {clock.provider} disagrees"
            yield Alert(Level.WARNING, title, detail, "Look whether this machine's clock is right.", "/system")


def configuration() -> Iterator[Alert]:
    """Yield settings that are for development, and prices of two kinds."""
    if settings.DEBUG:
        detail = "Error pages show code and settings to everybody who can reach this server."
        yield Alert(Level.WARNING, "DEBUG is on", detail, "Unset DEBUG and restart.", "/system")
    kinds = set(ProviderClock.objects.exclude(identity="").values_list("simulated", flat=True))
    if len(kinds) > 1:
        detail = "This database holds prices of a real provider and invented ones."
        remedy = "Start again with another CANDLEKEEP_HOME: nothing says afterwards which price is which."
        yield Alert(Level.ERROR, "Simulated data beside real data", detail, remedy, "/system")
    elif kinds == {True} and settings.LIVE:
        detail = "LIVE asks for the provider itself, but the database holds invented prices."
        yield Alert(Level.ERROR, "Simulated data", detail, "Use another CANDLEKEEP_HOME for real data.", "/system")
