"""GET candles/stream: who may follow a series is checked here, the stream itself is served by a process of its own."""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.access.stream_tickets import STREAM_PATH, Ticket, sign_ticket
from datastore.api.auth.api_key_header import key_of
from datastore.api.params.market_lookup import find_market
from datastore.api.params.query_params import DEFAULT_ROWS, query_of, stream_question
from datastore.api.responses.series_body import stream_url
from datastore.models import Market


class CandleStream(APIView):
    """GET candles/stream."""

    def get(self, request: Request) -> HttpResponse:
        """Lead to the stream of a series, with a ticket for a minute."""
        question = stream_question(query_of(request))
        market = find_market(question.market)
        again = stream_url(market.symbol, question.timeframe)
        if question.limit != DEFAULT_ROWS:
            again += f"&limit={question.limit}"
        return to_stream(request, market, question.timeframe, again, question.cursor, question.limit)


def to_stream(
    request: Request,
    market: Market,
    timeframe: str,
    again: str,
    cursor: str | None = None,
    limit: int = DEFAULT_ROWS,
    stream: int | None = None,
) -> HttpResponse:
    """Return 307 to the stream of a market and timeframe.

    again: the address asked, with all of its query but the cursor: whoever's ticket has run out is sent there. stream:
    the id of the Stream whose lease is renewed while somebody follows by this ticket. The asker's own Last-Event-ID
    goes before the cursor: a browser asks for the address that it was given first, again and again.
    """
    here = f"{request.scheme}://{request.get_host()}"
    holder = key_of(request._request)
    ticket = Ticket(
        market=market.pk,
        symbol=market.symbol,
        timeframe=timeframe,
        limit=limit,
        cursor=request.headers.get("Last-Event-ID") or cursor,
        key=None if holder is None else holder.prefix,
        user=request.user.pk if request.user is not None and request.user.is_staff else None,
        stream=stream,
        again=f"{here}{again}",
        page=here,
        foreign=_is_foreign(request),
    )
    query = urlencode({"ticket": sign_ticket(ticket)}, quote_via=quote)
    where = f"{settings.SSE_URL or _beside(request)}{STREAM_PATH}?{query}"
    return HttpResponse(status=307, headers={"Location": where, "Cache-Control": "no-store"})


def _beside(request: Request) -> str:
    """Return the stream process' address at the host by which we are asked."""
    host = urlsplit(f"//{request.get_host()}").hostname or settings.HOST
    name = f"[{host}]" if ":" in host else host
    return f"{request.scheme}://{name}:{settings.SSE_PORT}"


def _is_foreign(request: Request) -> bool:
    """Tell whether a page of another origin asks that may read the API."""
    origin = request.headers.get("Origin")
    return origin is not None and (settings.CORS_ALLOW_ALL_ORIGINS or origin in settings.CORS_ALLOWED_ORIGINS)
