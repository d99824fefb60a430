"""Every address under /api/ at which there is nothing."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from django.utils.module_loading import import_string
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.errors import NotFound, shown

_VARIABLE = re.compile(r"\(\?P<(?P<group>\w+)>[^)]*\)|<(\w+:)?(?P<name>\w+)>")


class NotFoundView(APIView):
    """Answer any method with 404 as problem+json."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise NotFound with what there is, before the method is looked at."""
        raise NotFound(f"There is nothing at {shown(request.path)}. There are: {', '.join(_addresses())}.")


@cache
def _addresses() -> list[str]:
    """Return the addresses under /api/v1/, their variable parts in braces, as in markets/{asked}."""
    patterns = import_string("datastore.api.urls.urlpatterns")  # that module imports this one
    routes = [str(route.pattern).strip("^$") for route in patterns[:-1]]  # the last one leads here
    return [_VARIABLE.sub(lambda part: f"{{{part['group'] or part['name']}}}", route) for route in routes]
