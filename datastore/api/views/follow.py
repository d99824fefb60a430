"""GET candles/stream and tickers/stream: permission is checked here; the streams are served by another process."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote, urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.access.stream_tickets import STREAM_PATH, TICKERS_PATH, Ticket, sign_ticket, stream_server
from datastore.api.auth.api_key_header import key_of
from datastore.api.params.market_lookup import find_market
from datastore.api.params.query_params import DEFAULT_ROWS, no_question, query_of, stream_question
from datastore.api.responses.series_body import stream_url
from datastore.models import Market


class CandleStream(APIView):
    """GET candles/stream."""

    def get(self, request: Request) -> HttpResponse:
        """Redirect to the stream of a series, with a ticket for a minute."""
        question = stream_question(query_of(request))
        market = find_market(question.market)
        again = stream_url(market.symbol, question.timeframe)
        if question.limit != DEFAULT_ROWS:
            again += f"&limit={question.limit}"
        return to_stream(request, market, question.timeframe, again, question.cursor, question.limit)


class TickerStream(APIView):
    """GET tickers/stream."""

    def get(self, request: Request) -> HttpResponse:
        """Redirect to the tickers of all followed markets as they change, with a ticket for a minute."""
        no_question(query_of(request))
        return to_tickers(request, request.path)


def to_stream(
    request: Request | HttpRequest,
    market: Market,
    timeframe: str,
    again: str,
    cursor: str | None = None,
    limit: int = DEFAULT_ROWS,
    stream: int | None = None,
    parts: str = "",
) -> HttpResponse:
    """Return 307 to the stream of a market and timeframe.

    again: the address that was asked for, with all of its query but the cursor, for a client whose ticket has expired.
    stream: the id of the Stream whose lease is renewed while it is followed with this ticket. Last-Event-ID goes before
    the cursor: a browser that reconnects repeats the address that it was given first. parts: the page that asks, which
    gets its parts too (settings.PAGE_PARTS).
    """
    ticket = replace(
        _ticket(request, again, cursor),
        market=market.pk,
        symbol=market.symbol,
        timeframe=timeframe,
        limit=limit,
        stream=stream,
        parts=parts,
    )
    return _redirect(request, STREAM_PATH, ticket)


def to_tickers(request: Request | HttpRequest, again: str, parts: str = "") -> HttpResponse:
    """Return 307 to the stream of tickers; again and parts as in to_stream()."""
    return _redirect(request, TICKERS_PATH, replace(_ticket(request, again), parts=parts))


def _ticket(request: Request | HttpRequest, again: str, cursor: str | None = None) -> Ticket:
    """Return a ticket for who asks, to nothing yet but the tickers."""
    here = f"{request.scheme}://{request.get_host()}"
    holder = key_of(request._request if isinstance(request, Request) else request)
    origin = request.headers.get("Origin")
    return Ticket(
        market=None,
        symbol="",
        timeframe="",
        limit=DEFAULT_ROWS,
        cursor=request.headers.get("Last-Event-ID") or cursor,
        key=None if holder is None else holder.prefix,
        user=None if request.user is None else request.user.pk,
        stream=None,
        again=f"{settings.PUBLIC_URL or here}{again}",
        page=here,
        # A page of another origin that may read the API.
        foreign=origin is not None and (settings.CORS_ALLOW_ALL_ORIGINS or origin in settings.CORS_ALLOWED_ORIGINS),
    )


def _redirect(request: Request | HttpRequest, path: str, ticket: Ticket) -> HttpResponse:
    server = stream_server(str(request.scheme), request.get_host())
    location = f"{server}{path}?{urlencode({'ticket': sign_ticket(ticket)}, quote_via=quote)}"
    return HttpResponse(status=307, headers={"Location": location, "Cache-Control": "no-store"})
