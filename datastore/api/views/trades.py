"""GET trades: raw ticks, exact, in their order (ts, seq nulls last, trade_id), page by page without a gap."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from datastore.api.errors import BadParameters
from datastore.api.params.market_lookup import find_market, provider_json
from datastore.api.params.query_params import TradesQuestion, query_of, trades_question
from datastore.api.params.times import LATEST, from_us, to_ms, to_us
from datastore.api.responses.compression import CompressedView
from datastore.api.responses.json_response import json_answer, pack
from datastore.api.responses.paging import position_of
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import Market

# time_us beside time: many venues trade several times a millisecond, and the order must survive.
COLUMNS = ("time", "time_us", "trade_id", "seq", "side", "price", "amount", "received")
Row = tuple[int, int, str, int | None, str | None, str, str, int]


class TradePosition(NamedTuple):
    """A place between two trades: behind the one with this identity and order. As text it is the cursor."""

    symbol: str
    ts: Annotated[int, msgspec.Meta(ge=0, lt=to_us(LATEST))]
    seq: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None
    trade_id: Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=r"\A[^\x00]*\Z")]


class Trades(CompressedView):
    """GET trades."""

    def get(self, request: Request) -> HttpResponse:
        """Answer one page of trades; `next` is the following page, `cursor` the place behind this one."""
        question = trades_question(query_of(request))
        market = find_market(question.market)
        place = _place(question.cursor, market)
        rows = _rows(market, question, place)
        more, page = len(rows) > question.limit, rows[: question.limit]
        behind = pack(*_behind(market, page[-1])) if page else question.cursor
        return json_answer(
            {
                "market": market.symbol,
                **provider_json(),
                "watermark": to_ms(market.watermark),
                "columns": COLUMNS,
                "trades": page,
                "cursor": behind,
                "next": f"{request.path}?{_following(market, question, behind)}" if more else None,
            }
        )


def _place(cursor: str | None, market: Market) -> TradePosition | None:
    place: TradePosition | None = None if cursor is None else position_of(cursor, TradePosition)
    if place and place.symbol != market.symbol:
        raise BadParameters({"cursor": [f"belongs to {place.symbol}, not to {market.symbol}."]})
    return place


def _rows(market: Market, question: TradesQuestion, place: TradePosition | None) -> list[Row]:
    """Return the page, and one trade more where there is one. Without from or cursor: the newest, none more."""
    start = from_us(place.ts) if place else question.start
    values: dict[str, Any] = {
        "market": market.pk,
        "start": start,
        "stop": question.stop or LATEST,
        "seq": place and place.seq,
        "id": place and place.trade_id,
        "limit": question.limit + (start is not None),
    }
    return fetch_all(statement("api", "trades_onward" if start else "trades_newest"), values)


def _behind(market: Market, row: Row) -> TradePosition:
    return TradePosition(symbol=market.symbol, ts=row[1], seq=row[3], trade_id=row[2])


def _following(market: Market, question: TradesQuestion, behind: str | None) -> str:
    # ISO, not milliseconds: `to` may name a microsecond.
    stop = question.stop and question.stop.isoformat().replace("+00:00", "Z")
    parts = {"market": market.symbol, "to": stop, "limit": question.limit, "cursor": behind}
    return urlencode({name: value for name, value in parts.items() if value is not None})
