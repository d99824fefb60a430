"""The admin as a part of the pages: their menu, and an index that says what is wrong and how much there is.

Its imports of our own modules are late: those that register with this site load it.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse


class CandlekeepAdminSite(admin.AdminSite):
    """Django's admin under the menu of the pages."""

    site_header = "Candlekeep"
    site_title = "Candlekeep"
    index_title = "Administration"
    site_url = "/"
    enable_nav_sidebar = False  # lists need its width; the index and the breadcrumbs lead everywhere

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return what every page of the admin shows, with the menu of the pages."""
        from dashboard.admin_index import pages

        return {**super().each_context(request), "menu": pages()}

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show what is wrong now, the actors by state, and how many rows there are of everything."""
        from dashboard.admin_index import overview, rows_of

        answer = super().index(request, {**overview(request), **(extra_context or {})})
        assert answer.context_data is not None  # noqa: S101 - the index has one
        for app in answer.context_data["app_list"]:
            for model in app["models"]:
                model["rows"] = rows_of(model["model"])
        return answer
