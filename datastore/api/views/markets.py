"""GET markets and markets/{m}: what is stored, since when, and how fresh it is. POST and DELETE: follow it or not."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from django.db import transaction
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.auth.permissions import spend_quota
from datastore.api.errors import UnknownMarket
from datastore.api.params.json_body import JsonBody, posted
from datastore.api.params.market_lookup import find_market, provider_json
from datastore.api.params.query_params import market_question, no_question, query_of
from datastore.api.params.symbols import market_text
from datastore.api.responses.json_response import json_answer
from datastore.backfill.newest import request_newest
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import Market
from datastore.quality.freshness import feed_state
from datastore.reference.markets import follow, unfollow
from datastore.reference.staleness import stale_after

Row = tuple[Any, ...]


class Markets(APIView):
    """GET markets and POST markets."""

    parser_classes = [JsonBody]

    def get(self, request: Request) -> HttpResponse:
        """Answer all markets by symbol."""
        no_question(query_of(request))
        return json_answer({**provider_json(), "markets": [market_json(row) for row in _rows(None)]})

    def post(self, request: Request) -> HttpResponse:
        """Follow a market from now on and ask for its newest history: 201, or 200 if it was followed already.

        429 if its pages are more than the client's budget for the day has left.
        """
        market = find_market(market_question(posted(request)))
        with transaction.atomic():
            is_new = follow(market)
            if is_new:
                request_newest([market], spend=partial(spend_quota, request._request))
        address = {"Location": f"/api/v1/markets/{quote(market.symbol, safe=':')}"}
        return json_answer({**provider_json(), **market_json(_rows(market.symbol)[0])}, address, 201 if is_new else 200)


class OneMarket(APIView):
    """GET and DELETE markets/{m}."""

    def get(self, request: Request, asked: str) -> HttpResponse:
        """Answer one market, found by any spelling."""
        no_question(query_of(request))
        return _one(_found(asked).symbol)

    def delete(self, request: Request, asked: str) -> HttpResponse:
        """Follow a market no longer; what is stored of it stays. Safe to repeat."""
        no_question(query_of(request))
        market = _found(asked)
        unfollow(market)
        return _one(market.symbol)


def _found(asked: str) -> Market:
    """Return the market in any spelling; raise UnknownMarket."""
    try:
        return find_market(market_text(asked))
    except ValueError:
        raise UnknownMarket(asked) from None


def _one(symbol: str) -> HttpResponse:
    return json_answer({**provider_json(), **market_json(_rows(symbol)[0])})


def _rows(symbol: str | None) -> list[Row]:
    stale = stale_after()
    return fetch_all(statement("api", "markets"), {"symbol": symbol, "stale": stale})


def market_json(row: Row) -> dict[str, Any]:
    """Return one market; times in milliseconds, freshness = provider's time - newest proven time of its feed."""
    symbol, exchange, base, quote, followed, version, watermark, live_stop, freshness, *more = row
    first, newest, price, is_open, refusal, refused_since, proof = more
    return {
        "market": symbol,
        "exchange": exchange,
        "base": base,
        "quote": quote,
        "followed": followed,
        "version": version,
        "watermark": watermark,
        "first": first,
        "newest": newest,
        "last_price": price,
        "feed": feed_state(is_open, freshness),
        "live_until": live_stop,
        "freshness": freshness,
        "proof": proof,
        "refusal": refusal,
        "refused_since": refused_since,
    }
