"""POST gaps/{id}/retry: a gap is fetched now, whenever its next try would be."""

from __future__ import annotations

from functools import partial

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.auth.permissions import spend_quota
from datastore.api.errors import NotFound
from datastore.api.responses.json_response import json_answer
from datastore.api.responses.series_body import completeness_json
from datastore.api.views.requests import accepted
from datastore.backfill import fetch_queue
from datastore.datastore_actor import request_spans
from datastore.models import FetchRequest, GapRepair
from datastore.requests.plan import MissingSpan
from datastore.series.reader import read_completeness
from datastore.timeframes.timeframe import BASE


class GapRetry(APIView):
    """POST gaps/{id}/retry."""

    def post(self, request: Request, number: str) -> HttpResponse:
        """Ask for a gap now, a final one once more: 202 and the request, 200 with null if nothing of it is missing.

        429 if its pages are more than the client's budget for the day has left.
        """
        gap = GapRepair.objects.select_related("market").filter(pk=int(number)).first()
        if gap is None:
            raise NotFound(f"There is no gap {number}: it is filled, or the gap scan stored it under another number.")
        timeframe, span = BASE[gap.resolution].name, MissingSpan(gap.resolution, gap.start, gap.stop)
        spend = partial(spend_quota, request._request)
        made = request_spans(gap.market, timeframe, [span], FetchRequest.Purpose.GAP, spend, again=True)
        there = completeness_json(read_completeness(gap.market, timeframe, gap.start, gap.stop))
        if made is None:
            return json_answer({"request": None, "completeness": there})
        fetch_queue.hurry(made.fetches)
        return accepted(made, completeness=there)
