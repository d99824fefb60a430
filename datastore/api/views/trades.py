"""GET trades: raw ticks, exact, in their order (ts, seq nulls last, trade_id), page by page without a gap."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from datastore.api.errors import BadParameters
from datastore.api.params.market_lookup import find_market, provider_json
from datastore.api.params.query_params import query_of, trades_question
from datastore.api.params.times import LATEST, to_ms
from datastore.api.responses.compression import CompressedView
from datastore.api.responses.json_response import json_answer, pack
from datastore.api.responses.paging import position_of
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.timeframes.intervals import micros_of, moment

# time_us beside time: many venues trade several times a millisecond, and the order must survive.
COLUMNS = ("time", "time_us", "trade_id", "seq", "side", "price", "amount", "received")
Row = tuple[int, int, str, int | None, str | None, str, str, int]


class TradePosition(NamedTuple):
    """A position after the trade with this identity and order; ts in µs. As text it is the cursor."""

    symbol: str
    ts: Annotated[int, msgspec.Meta(ge=0, lt=micros_of(LATEST))]
    seq: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None
    trade_id: Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=r"\A[^\x00]*\Z")]


class Trades(CompressedView):
    """GET trades."""

    def get(self, request: Request) -> HttpResponse:
        """Answer one page of trades; `next` is the following page, `cursor` the position after this one."""
        question = trades_question(query_of(request))
        market = find_market(question.market)
        position: TradePosition | None = None
        if question.cursor is not None:
            position = position_of(question.cursor, TradePosition)
        if position and position.symbol != market.symbol:
            raise BadParameters({"cursor": [f"belongs to {position.symbol}, not to {market.symbol}."]})

        start = moment(position.ts) if position else question.start
        values: dict[str, Any] = {
            "market": market.pk,
            "start": start,
            "stop": question.stop or LATEST,
            "seq": position and position.seq,
            "id": position and position.trade_id,
            "limit": question.limit + (start is not None),
        }
        rows = fetch_all(statement("api", "trades_onward" if start else "trades_newest"), values)

        page, cursor, following = rows[: question.limit], question.cursor, None
        if page:
            _, time_us, trade_id, seq, *_ = page[-1]
            cursor = pack(market.symbol, time_us, seq, trade_id)
        if len(rows) > question.limit:
            # ISO, not milliseconds: `to` may name a microsecond.
            stop = question.stop and question.stop.isoformat().replace("+00:00", "Z")
            parts = {"market": market.symbol, "to": stop, "limit": question.limit, "cursor": cursor}
            following = urlencode({name: value for name, value in parts.items() if value is not None})
        return json_answer(
            {
                "market": market.symbol,
                **provider_json(),
                "watermark": to_ms(market.watermark),
                "columns": COLUMNS,
                "trades": page,
                "cursor": cursor,
                "next": following and f"{request.path}?{following}",
            }
        )
