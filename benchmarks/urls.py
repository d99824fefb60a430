"""Two views that answer b'': one of plain Django, one of Django REST framework with its keys and limits."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.views import APIView


def empty(request: HttpRequest) -> HttpResponse:
    """Answer nothing."""
    return HttpResponse(b"")


class Framework(APIView):
    """The same, behind what guards every view of the API."""

    def get(self, request: Request) -> HttpResponse:
        """Answer nothing."""
        return HttpResponse(b"")


urlpatterns = [path("empty", empty), path("framework", Framework.as_view()), path("", include("config.urls"))]
