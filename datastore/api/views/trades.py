"""GET trades: raw ticks, exact, in their order (ts, seq nulls last, trade_id), page by page without a gap."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from datastore.api.errors import BadParameters
from datastore.api.params.accepted_format import accepted_format
from datastore.api.params.market_lookup import find_market, provider_json
from datastore.api.params.query_params import (
    DEFAULT_ROWS,
    TRADE_FORMATS,
    TradesQuestion,
    query_of,
    trades_question,
)
from datastore.api.params.times import LATEST, to_ms
from datastore.api.responses.compression import CompressedView
from datastore.api.responses.json_response import json_answer, pack
from datastore.api.responses.paging import position_of
from datastore.api.responses.series_stream import writing
from datastore.api.responses.streamed import MAX_IDLE_S, streamed
from datastore.api.responses.trade_files import COLUMNS, Row, trade_writer
from datastore.db.queries import fetch_all, snapshot
from datastore.db.sql_files import statement
from datastore.models import Market
from datastore.series.written_format import FORMATS, Format
from datastore.timeframes.intervals import micros_of, moment

PART_ROWS = 5_000  # of a streamed answer


class TradePosition(NamedTuple):
    """A position after the trade with this identity and order; ts in µs. As text it is the cursor."""

    symbol: str
    ts: Annotated[int, msgspec.Meta(ge=0, lt=micros_of(LATEST))]
    seq: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None
    trade_id: Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=r"\A[^\x00]*\Z")]


class Trades(CompressedView):
    """GET trades."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer one page of trades; `next` is the following page, `cursor` the position after this one."""
        question = trades_question(query_of(request))
        market = find_market(question.market)
        position: TradePosition | None = None
        if question.cursor is not None:
            position = position_of(question.cursor, TradePosition)
        if position and position.symbol != market.symbol:
            raise BadParameters({"cursor": [f"belongs to {position.symbol}, not to {market.symbol}."]})

        form = question.format or accepted_format(request.META.get("HTTP_ACCEPT", ""), TRADE_FORMATS)
        if form in TRADE_FORMATS:
            name = f"{market.symbol.replace(':', '_')}-trades.{FORMATS[form].suffix}"
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            if market.watermark:
                headers["Candlekeep-Watermark"] = str(to_ms(market.watermark))
            known = {"market": market.symbol, **provider_json(), "watermark": to_ms(market.watermark)}
            about = msgspec.json.encode(known)
            parts = partial(_written, market, question, position, FORMATS[form], about)
            return streamed(request._request, parts, FORMATS[form].media_type, headers)

        limit = question.limit or DEFAULT_ROWS
        start = moment(position.ts) if position else question.start
        rows = _page(market, question, position, limit + (start is not None))
        page, cursor, following = rows[:limit], question.cursor, None
        if page:
            cursor = pack(*_position_after(market, page[-1]))
        if len(rows) > limit:
            # ISO, not milliseconds: `to` may name a microsecond.
            stop = question.stop and question.stop.isoformat().replace("+00:00", "Z")
            parts_of_next = {"market": market.symbol, "to": stop, "limit": limit, "cursor": cursor}
            following = urlencode({name: value for name, value in parts_of_next.items() if value is not None})
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


def _page(market: Market, question: TradesQuestion, position: TradePosition | None, limit: int) -> list[Row]:
    """Return the first trades after the position, or of the range; without a start, the newest before its end."""
    start = moment(position.ts) if position else question.start
    values: dict[str, Any] = {
        "market": market.pk,
        "start": start,
        "stop": question.stop or LATEST,
        "seq": position and position.seq,
        "id": position and position.trade_id,
        "limit": limit,
    }
    return fetch_all(statement("api", "trades_onward" if start else "trades_newest"), values)


def _position_after(market: Market, row: Row) -> TradePosition:
    _, time_us, trade_id, seq, *_ = row
    return TradePosition(market.symbol, time_us, seq, trade_id)


def _written(
    market: Market, question: TradesQuestion, position: TradePosition | None, form: Format, about: bytes
) -> Iterator[list[bytes]]:
    """Yield all trades of the range, or as many as the limit says, from one snapshot. Raises CannotWrite."""
    writer = trade_writer(form.name, about)
    endless = position is not None or question.start is not None
    left = question.limit or (None if endless else DEFAULT_ROWS)
    made = [writer.head()]
    with writing(form), snapshot(MAX_IDLE_S):
        while left is None or left:
            wanted = PART_ROWS if left is None else min(left, PART_ROWS) if endless else left
            rows = _page(market, question, position, wanted)
            yield [*made, writer.trades(rows)]
            made.clear()
            if len(rows) < wanted or not endless:
                break
            position = _position_after(market, rows[-1])
            left = None if left is None else left - len(rows)
    yield [writer.tail()]
