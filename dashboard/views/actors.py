"""The pages of the actors: all of them with the way of the data, one kind, one actor, and their log."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse

from actor_runtime.drawing import WITH_RATES, svg
from config.monitoring.health import provider_identity
from dashboard.actors import (
    Kind,
    active,
    all_kinds,
    find,
    groups,
    kinds,
    may_reset,
    rates_by_kind,
    with_lags,
)
from dashboard.flow.picture import pictures
from dashboard.lags import fixed_lags
from dashboard.log_page import read_log
from dashboard.pages import page, part, readable, shared_part
from dashboard.resets import recent_outcomes
from datastore.api.auth.permissions import is_staff

ROWS = 100  # of a page
MAX_ALARMS = 10  # of one kind: the others are rows of its table


@readable
def actors(request: HttpRequest) -> HttpResponse:
    """Show the way of the data, what is in Error, and every kind with its first actors."""
    if request.GET.get("part") and not is_staff(request):
        return shared_part(request, "actors/all.html", "", lambda: _all(request), times=1.0)
    return _shown(request, "actors.html", "actors/all.html", _all(request))


def _all(request: HttpRequest) -> dict[str, Any]:
    """Return what the page of all actors shows."""
    found = all_kinds()
    return {
        "kinds": found,
        "in_error": sum(kind.errors for kind in found),
        "silent": sum(kind.silent for kind in found),
        "errors": [row for kind in found for row in kind.rows if row.level == "error"],
        "may_reset": {kind.name for kind in found if may_reset(request, kind.name)},
        "outcomes": recent_outcomes(),
        "pictures": pictures(str(provider_identity()["provider"] or "Provider")),
    }


@readable
def one_kind(request: HttpRequest, kind: str) -> HttpResponse:
    """Show the actors of one kind, 100 a page, of all states or of one."""
    model = kinds().get(kind)
    if model is None:
        raise Http404
    state = request.GET.get("state", "")
    chosen = active(model).filter(state=state) if state in model.State.values else active(model)
    number = int(request.GET.get("page", "1")) if request.GET.get("page", "1").isdecimal() else 1
    first = (min(max(number, 1), 10**6) - 1) * ROWS
    rows = list(chosen[first : first + ROWS + 1])
    query = {"state": state} if state in model.State.values else {}
    found = Kind(kind, model, groups(model), with_lags(kind, rows[:ROWS], fixed_lags()), _rates(kind))
    context = {
        "kind": found,
        "alarms": [row for row in found.rows if row.level == "error"][:MAX_ALARMS],
        "states": model.State.choices,
        "state": query.get("state", ""),
        "may_reset": {kind} if may_reset(request, kind) else set(),
        "outcomes": [each for each in recent_outcomes() if each.actor.kind == kind],
        "before": urlencode({**query, "page": number - 1}) if number > 1 else None,
        "after": urlencode({**query, "page": number + 1}) if len(rows) > ROWS else None,
        "here": request.get_full_path(),
    }
    return _shown(request, "actor_kind.html", "actors/kind.html", context)


@readable
def one_actor(request: HttpRequest, kind: str, name: str) -> HttpResponse:
    """Show one actor: its chart, its figures, what became of a reset, and its log."""
    found = find(kind, name)
    if found is None:
        raise Http404
    if request.GET.get("part") == "log":
        return part(request, "actors/log.html", {"log": read_log(request, kind=kind, name=name), "alone": True})
    context = {
        "row": found,
        "title": Kind(kind, kinds()[kind]).title,
        "chart": svg(kinds()[kind], str(found.actor.state), _rates(kind, name=name), WITH_RATES),
        "may_reset": {kind} if may_reset(request, kind) else set(),
        "outcomes": recent_outcomes(kind, name),
    }
    if request.GET.get("part") is None:
        context |= {"log": read_log(request, kind=kind, name=name), "alone": True, "query": request.GET.urlencode()}
    return _shown(request, "actor.html", "actors/one.html", context)


@readable
def log(request: HttpRequest) -> HttpResponse:
    """Show the log of all actors."""
    if request.GET.dict() == {"part": "log"}:
        return shared_part(request, "actors/log.html", "", lambda: {"log": read_log(request)}, times=1.0)
    context = {"log": read_log(request), "query": request.GET.urlencode()}
    return _shown(request, "actor_log.html", "actors/log.html", context)


def _rates(kind: str, **only: str) -> Any:
    return rates_by_kind(kind=kind, **only).get(kind, {})


def _shown(request: HttpRequest, whole: str, refreshed: str, context: dict[str, Any]) -> HttpResponse:
    """Return the page, or the part of it that refreshes itself if that is asked for."""
    if request.GET.get("part"):
        return part(request, refreshed, context)
    return page(request, whole, context)
