"""The log of the actors as a page shows it: a filter in the address, 100 lines, and the way to older ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest

from actor_runtime.charts import label
from actor_runtime.log_reading import event_names
from actor_runtime.models import TransitionLog
from dashboard.actors import kinds
from datastore.api.errors import BadParameters
from datastore.api.params.query_params import log_question
from datastore.api.views.actors import cursor_after, log_page

FILTERS = ("kind", "name", "event", "from", "to")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: `row` with its states in words."""

    row: TransitionLog
    source: str
    target: str

    @property
    def failed(self) -> bool:
        """Return whether the line ends in Error."""
        return self.row.target == "error" and self.row.source != "error"


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page of the log, or why there is none."""

    lines: list[LogLine]
    asked: Mapping[str, str]
    older: str | None  # query of the next page
    newest: str | None  # query of the first page, None on the first
    errors: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=event_names)
    kinds: list[str] = field(default_factory=lambda: list(kinds()))

    @property
    def filtered(self) -> bool:
        """Return whether anything is left out."""
        return any(self.asked.values())


def read_log(request: HttpRequest, **fixed: str) -> LogPage:
    """Return the page that the query string asks for; fixed: what the page itself decides (kind and name)."""
    asked = {name: request.GET.get(name, "").strip() for name in FILTERS if name not in fixed}
    given = {name: text for name, text in asked.items() if text}
    cursor = request.GET.get("cursor", "")
    query = {name: [text] for name, text in {**given, **fixed, **({"cursor": cursor} if cursor else {})}.items()}
    newest = urlencode(given) if cursor else None
    try:
        question = log_question(query)
        found = log_page(question)
    except BadParameters as exc:
        return LogPage([], asked, None, newest, [f"{name}: {' '.join(words)}" for name, words in exc.errors.items()])
    rows = found[: question.limit]
    older = urlencode({**given, "cursor": cursor_after(rows[-1])}) if len(found) > question.limit else None
    return LogPage([_line(row) for row in rows], asked, older, newest)


def _line(row: TransitionLog) -> LogLine:
    model = kinds().get(row.kind)
    known: Any = set(model.State.values) if model else ()
    source, target = (label(model, state) if model and state in known else state for state in (row.source, row.target))
    return LogLine(row, source, target)
