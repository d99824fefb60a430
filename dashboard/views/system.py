"""The page of the system: what runs, how much of everything is left, and what is set."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from config.monitoring.growth import forecast
from dashboard.pages import readable
from dashboard.refreshing import refreshing
from dashboard.system import configuration, disk, memory, schedules, servers, statements
from datastore.api.auth.permissions import is_staff


@readable
def system(request: HttpRequest) -> HttpResponse:
    """Show the platform; statements and settings only to staff, since they say much about the servers."""

    def shown() -> dict[str, Any]:
        folder = disk.folder()
        found: dict[str, Any] = {
            "servers": servers.servers(),
            "queues": servers.queues(),
            "folder": folder,
            "database_size": disk.database_size(),
            "tables": disk.tables(),
            "forecast": forecast(folder.free if folder.holds_database else None),
            "memory": memory.memory(),
            "schedules": schedules.schedules(),
        }
        if is_staff(request):
            found |= {"statements": statements.statements(), "settings_shown": configuration.shown_settings()}
        return found

    return refreshing(request, "system", shown)
