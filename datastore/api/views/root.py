"""GET /api/v1/ itself: what answers here, in which version, and where to go on."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.params.query_params import no_question, query_of
from datastore.api.responses.json_response import json_answer

NAME = "Candlekeep"
LINKED = ("docs", "schema", "markets")


class Root(APIView):
    """GET the base address."""

    def get(self, request: Request) -> HttpResponse:
        """Answer name, version and the addresses to begin with."""
        no_question(query_of(request))
        links = {name: f"{request.path}{name}" for name in LINKED}
        return json_answer({"name": NAME, "version": settings.VERSION, "links": links})
