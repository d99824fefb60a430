"""What the index of the admin shows: what is wrong, the actors by state, and how many rows there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from actor_runtime.charts import label
from actor_runtime.models import ERROR, actor_models
from dashboard.alerts import open_alerts
from dashboard.pages import MENU
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement

MAX_COUNTED_ROWS = 10_000  # a table with more is estimated
MAX_ALERTS = 12  # shown here; the page of alerts shows all
KEYED_BY_SEVERAL = "datastore"  # the app whose rows of several keys are on their market's page


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many actors of a kind are in a state; url: the list of them."""

    state: str
    words: str
    number: int
    url: str


def overview(request: HttpRequest) -> dict[str, object]:
    """Return what the index shows beside the lists that Django knows."""
    alerts = open_alerts()
    shown, more = alerts[:MAX_ALERTS], len(alerts) - MAX_ALERTS
    return {"alerts": shown, "more_alerts": more, "actors": actor_states(request), "unlisted": unlisted()}


def pages() -> list[dict[str, str]]:
    """Return the menu of the pages."""
    return [{"url": url, "word": word} for url, word, _ in MENU]


def actor_states(request: HttpRequest) -> list[tuple[str, list[StateCount]]]:
    """Return by kind of actor that the user may see how many are in each state, Error first; retired ones left out."""
    found = []
    for model in actor_models():
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        if not request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
            continue
        url = reverse(f"admin:{name}_changelist")
        rows: QuerySet[Any, Any] = model._default_manager.filter(retired_at=None)
        numbers = rows.order_by().values_list("state").annotate(Count("pk"))
        states = [
            StateCount(
                str(state), label(model, str(state)), number, f"{url}?state__exact={state}&retired_at__isempty=1"
            )
            for state, number in sorted(numbers, key=lambda one: (one[0] != ERROR, str(one[0])))
        ]
        found.append((str(model._meta.verbose_name_plural).capitalize(), states))
    return found


def rows_of(model: type[Model]) -> str:
    """Return how many rows a model has, estimated where they are many."""
    counted = model._default_manager.order_by()[: MAX_COUNTED_ROWS + 1].count()
    if counted <= MAX_COUNTED_ROWS:
        return f"{counted:,}"
    ((estimate,),) = fetch_all(statement("metrics", "rows"), {"table": model._meta.db_table})
    return f"about {estimate:,}" if estimate > MAX_COUNTED_ROWS else f"more than {MAX_COUNTED_ROWS:,}"


def unlisted() -> list[tuple[str, str]]:
    """Return the rows that have no list here, since their keys have several columns: their names and how many."""
    models = [model for model in apps.get_app_config(KEYED_BY_SEVERAL).get_models() if model._meta.is_composite_pk]
    return [(str(model._meta.verbose_name_plural).capitalize(), rows_of(model)) for model in models]
