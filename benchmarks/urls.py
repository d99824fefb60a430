"""Two views that answer b'': one of plain Django, one of Django REST framework with API keys and rate limits."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.views import APIView


def empty(request: HttpRequest) -> HttpResponse:
    """Answer nothing."""
    return HttpResponse(b"")


class Framework(APIView):
    """The same, behind the checks of every API view."""

    def get(self, request: Request) -> HttpResponse:
        """Answer nothing."""
        return HttpResponse(b"")


urlpatterns = [path("empty", empty), path("framework", Framework.as_view()), path("", include("config.urls"))]
