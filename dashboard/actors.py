"""The actors as the pages show them: by kind, in words, each with what happens next. A fixed number of statements."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import Case, Count, Q, QuerySet, Sum, When
from django.http import HttpRequest
from django.utils import timezone

from actor_runtime.admin import LATE_AFTER_S, error_story
from actor_runtime.charts import Edge, label
from actor_runtime.drawing import SMALL, WITH_RATES, Rates, svg
from actor_runtime.models import ERROR, Actor, TransitionLog, actor_models, with_silence
from actor_runtime.ownership.claims import HEARTBEAT_TIMEOUT
from actor_runtime.ownership.description import is_alive
from actor_runtime.steady_time import SteadyNow
from config.monitoring.cached_answer import CachedAnswer
from consumers.models import DynamicTopicConsumer, FixedTopicConsumer
from dashboard.lags import dynamic_lags, fixed_lags
from datastore.api.auth.permissions import is_staff
from datastore.models import DatastoreRequest
from ingestion.history.pool import ROLE as HISTORY_ROLE
from ingestion.models import Producer
from streaming.topics import FIXED_TOPICS

ROWS_OF_KIND = 6  # of each kind on the page of all
RATE_MINUTES = 4  # full minutes that a rate is taken over, beside the one that runs
POOL_ROLES = frozenset({HISTORY_ROLE, "producer-topic"})  # whose rows are free while there is nothing to do
TOPIC_OF_ROLE = {f"fixed-{name.removesuffix('-data')}": name for name in FIXED_TOPICS}
TITLES = {
    "producer": "Producer",
    "coordinator": "Coordinator",
    "fixedtopicconsumer": "Consumer for fixed topics",
    "dynamictopicconsumer": "Consumer for dynamic topics",
    "datastorerequest": "Datastore request",
}


_SILENT = ~Q(owner="") & Q(heartbeat_at__lt=SteadyNow() - HEARTBEAT_TIMEOUT)
EMPTY = {
    "dynamictopicconsumer": "One comes with each topic of a stream: make one at /streams.",
    "datastorerequest": "Only a question that has to fetch, or fails, is listed; the others are answered and counted.",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One actor with what a page says of it. level: a class of style; word: the same for those who see no colours."""

    actor: Any
    kind: str
    level: str
    word: str
    lag: int | None

    @property
    def url(self) -> str:
        """Return the address of its page."""
        return f"/actors/{self.kind}/{self.actor.name}"

    @property
    def state(self) -> str:
        """Return the customer's word for its state."""
        return label(type(self.actor), str(self.actor.state))

    @property
    def silence_s(self) -> float | None:
        """Return the seconds since its heartbeat."""
        silence = self.actor.silence
        return None if silence is None else silence.total_seconds()

    @property
    def is_late(self) -> bool:
        """Return whether its heartbeat is older than it should be."""
        return bool(self.actor.owner) and (self.silence_s or 0) > LATE_AFTER_S

    @property
    def has_process(self) -> bool:
        """Return whether rows of its kind belong to processes: a request is moved by the process that answers it."""
        return not isinstance(self.actor, DatastoreRequest)

    @property
    def owner_trouble(self) -> str:
        """Return why nothing will happen to it, whatever its state; empty if its process lives."""
        if not self.has_process or is_alive(self.actor):
            return ""
        if not self.actor.owner:
            return "" if self.actor.role in POOL_ROLES else "No process has it: nothing happens until one is started."
        return "Its process gives no sign of life: nothing happens until another takes it over."

    @property
    def has_lag(self) -> bool:
        """Return whether it reads a topic."""
        return isinstance(self.actor, FixedTopicConsumer | DynamicTopicConsumer)

    @property
    def story(self) -> str:
        """Return the last error with its age and whether it was overcome."""
        return error_story(self.actor)

    @property
    def next_step(self) -> str:
        """Return what ends its Error, where no time is set for that."""
        if isinstance(self.actor, Producer) and self.actor.refused_access:
            return (
                "It waits for a person: give it a key and address that the provider accepts (it tries again by itself "
                "when they change), or reset it to try the same ones once more."
            )
        if isinstance(self.actor, DatastoreRequest):
            return "It is reset when its reader has been answered, after an hour at the latest."
        return "It waits for a person: mend the cause that it names, then reset it."


@dataclass(slots=True)
class Kind:
    """All actors of one kind that are not retired."""

    name: str
    model: type[Actor]
    groups: list[dict[str, Any]] = field(default_factory=list)  # per role and state: how many, and how they are
    rows: list[Shown] = field(default_factory=list)  # the first, those in Error before all
    rates: Rates = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the kind's name for people."""
        return TITLES.get(self.name, str(self.model._meta.verbose_name).capitalize())

    @property
    def total(self) -> int:
        """Return how many there are."""
        return sum(group["n"] for group in self.groups)

    @property
    def states(self) -> dict[str, int]:
        """Return how many are in each state that any is in."""
        found: Counter[str] = Counter()
        for group in self.groups:
            found[str(group["state"])] += group["n"]
        return dict(found)

    @property
    def errors(self) -> int:
        """Return how many are in Error."""
        return self.states.get(ERROR, 0)

    @property
    def silent(self) -> int:
        """Return how many have an owner that gives no sign of life."""
        return sum(group["silent"] for group in self.groups)

    @property
    def empty(self) -> str:
        """Return what to do so that there is one."""
        return EMPTY.get(self.name, "Its process makes the first one: look whether it runs.")

    @property
    def more(self) -> int:
        """Return how many are not among the rows."""
        return self.total - len(self.rows)

    def small_chart(self) -> str:
        """Return its chart with the states that its actors are in."""
        return svg(self.model, self.states, self.rates, SMALL)

    def chart(self) -> str:
        """Return the same, large and with the events."""
        return svg(self.model, self.states, self.rates, WITH_RATES)


def kinds() -> dict[str, type[Actor]]:
    """Return the models of actors by kind."""
    return {str(model._meta.model_name): model for model in actor_models()}


def all_kinds() -> list[Kind]:
    """Return the actors by kind, read at most once a second. Raises DatabaseError."""
    return _known.get()


def _look() -> list[Kind]:
    rates, found, lags = rates_by_kind(), [], fixed_lags()
    for name, model in kinds().items():
        rows = with_lags(name, active(model)[:ROWS_OF_KIND], lags)
        found.append(Kind(name, model, groups(model), rows, rates.get(name, {})))
    return sorted(found, key=lambda kind: list(TITLES).index(kind.name) if kind.name in TITLES else len(TITLES))


_known = CachedAnswer(_look)


def active(model: type[Actor]) -> QuerySet[Any]:
    """Return the actors of a kind that are not retired: in Error, without living process, waiting, then by name."""
    rows = with_silence(model._default_manager.filter(retired_at=None))
    unowned = Q(owner="") & ~Q(role__in=POOL_ROLES)
    urgency = Case(
        When(state=ERROR, then=0),
        When(unowned | _SILENT, then=1),
        When(waiting_for__isnull=False, then=2),
        default=3,
    )
    return rows.order_by(urgency, "name")


def groups(model: type[Actor]) -> list[dict[str, Any]]:
    """Return per role and state how many actors there are, how many of them are silent, free, or wait."""
    rows: QuerySet[Any] = model._default_manager.filter(retired_at=None).order_by()
    return list(
        rows.values("role", "state").annotate(
            n=Count("pk"),
            silent=Count("pk", filter=_SILENT),
            free=Count("pk", filter=Q(owner="")),
            waiting=Count("pk", filter=Q(waiting_for__isnull=False)),
        )
    )


def shown(kind: str, actor: Any, lag: int | None = None) -> Shown:
    """Return an actor, whose row comes from with_silence(), with its level and word."""
    return Shown(actor, kind, *_level(actor), lag)


def _level(actor: Any) -> tuple[str, str]:
    if actor.retired_at is not None:
        return "", "Retired"
    if actor.in_error:
        return "error", "Error"
    if not isinstance(actor, DatastoreRequest):
        if not actor.owner:
            return ("", "Free") if actor.role in POOL_ROLES else ("error", "No process")
        if not is_alive(actor):
            return "error", "Silent"
    return ("waiting", "Waiting") if actor.waiting_for else ("good", "OK")


def with_lags(kind: str, actors: Iterable[Any], fixed: Mapping[str, int]) -> list[Shown]:
    """Return the actors with how many records each has not stored yet: of dynamic topics in one question for all."""
    actors = list(actors)
    lags: Mapping[str, int] = {}
    if issubclass(kinds()[kind], DynamicTopicConsumer):
        lags = dynamic_lags([actor.name for actor in actors])
    elif issubclass(kinds()[kind], FixedTopicConsumer):
        lags = {actor.name: fixed[topic] for actor in actors if (topic := TOPIC_OF_ROLE.get(actor.role, "")) in fixed}
    return [shown(kind, actor, lags.get(actor.name)) for actor in actors]


def rates_by_kind(**only: str) -> dict[str, dict[Edge, float]]:
    """Return transitions per minute by kind, over the last minutes: one statement for all actors."""
    now = timezone.now()
    since = now.replace(second=0, microsecond=0) - timedelta(minutes=RATE_MINUTES)
    lines: QuerySet[Any] = TransitionLog.objects.filter(first_at__gte=since, **only).order_by()
    columns = ("kind", "event", "source", "target")
    found: defaultdict[str, dict[Edge, float]] = defaultdict(dict)
    minutes = (now - since).total_seconds() / 60
    for kind, event, source, target, count in lines.values_list(*columns).annotate(Sum("count")):
        found[kind][Edge(event, source, target)] = count / minutes
    return dict(found)


def find(kind: str, name: str) -> Shown | None:
    """Return one actor, retired or not, with its lag; None if there is none."""
    model = kinds().get(kind)
    if model is None or not name.isprintable():
        return None
    actors = list(with_silence(model._default_manager.filter(name=name)))
    is_fixed = issubclass(model, FixedTopicConsumer)
    found = with_lags(kind, actors, fixed_lags() if is_fixed else {})
    return found[0] if found else None


def may_reset(request: HttpRequest, kind: str) -> bool:
    """Return whether the API would take a reset of this kind from this user."""
    model = kinds()[kind]
    permission = f"{model._meta.app_label}.reset_{model._meta.model_name}"
    return is_staff(request) and request.user.has_perm(permission)
