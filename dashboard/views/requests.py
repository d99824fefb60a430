"""The page of requests: what is fetched from the providers, and which questions wait for it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from dashboard import fetch_list
from dashboard.pages import readable
from dashboard.refreshing import refreshing
from datastore.backfill.fetch_queue import count_by_state


@readable
def requests(request: HttpRequest) -> HttpResponse:
    """Show requests to the providers."""

    def shown() -> dict[str, Any]:
        found, filters = fetch_list.ended(request.GET)
        return {
            "running": fetch_list.running(),
            "found": found,
            "filters": filters,
            "counts": count_by_state().items(),
            "questions": fetch_list.questions(),
            "budgets": fetch_list.budgets(),
        }

    return refreshing(request, "requests", shown)
