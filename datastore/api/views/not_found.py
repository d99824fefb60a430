"""Every address at which there is nothing."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from django.views import defaults
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.errors import NotFound, shown
from datastore.api.responses.problem import problem_response

_VARIABLE = re.compile(r"\(\?P<(?P<group>\w+)>[^)]*\)|<(\w+:)?(?P<name>\w+)>")


class NotFoundView(APIView):
    """Answer any method under /api/v1/ with 404 as problem+json."""

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Return none: no method is allowed where there is nothing."""
        return {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise NotFound with what there is, before the method is looked at."""
        raise NotFound(_sentence(request.path))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer any other address in the same way, the admin's with Django's page; for urls.handler404."""
    if request.path_info.startswith("/admin/"):
        return defaults.page_not_found(request, exception)
    return problem_response(NotFound.status, _sentence(request.path), kind=NotFound.kind)


def _sentence(path: str) -> str:
    return f"There is nothing at {shown(path)}. Under /api/v1/ there are: {', '.join(_addresses())}."


@cache
def _addresses() -> list[str]:
    """Return the addresses under /api/v1/, their variable parts in braces, as in markets/{asked}."""
    patterns = import_string("datastore.api.urls.urlpatterns")  # that module imports this one
    routes = filter(None, (str(route.pattern).strip("^$") for route in patterns[:-1]))  # the last one leads here
    return [_VARIABLE.sub(lambda part: f"{{{part['group'] or part['name']}}}", route) for route in routes]
