"""The page of alerts: what is wrong now, what to do about it, and what was looked at."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from dashboard.alerts import looked, open_alerts
from dashboard.pages import readable
from dashboard.refreshing import refreshing


@readable
def alerts(request: HttpRequest) -> HttpResponse:
    """Show alerts, the worst first."""

    def shown() -> dict[str, Any]:
        made = looked()
        checked = sum(not one.unchecked for one in made)
        return {"found": open_alerts(), "looked": made, "checked": checked}

    return refreshing(request, "alerts", shown)
