"""Stored trades in Binance's shapes, where the venue's ids are held."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from datastore.api.binance.errors import UNSUPPORTED, Refused
from datastore.api.binance.query import BinanceTradesQuestion
from datastore.api.params.times import EARLIEST, LATEST, MILLISECOND
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.models import Market

NEAR = timedelta(seconds=1)  # how closely the time of an id is looked for
BUY = 1


class StoredTrade(NamedTuple):
    """One row: the venue's number of it, the ids that it covers, time in µs, decimals as text, the taker's side."""

    trade_id: str
    first_id: int
    last_id: int
    time_us: int
    price: str
    amount: str
    quote: str
    side: int

    @property
    def number(self) -> int:
        """Return the number by which rows are counted: the venue's own of an aggregate, else the trade's id."""
        return int(self.trade_id) if self.trade_id.isascii() and self.trade_id.isdigit() else self.first_id


def trade_json(trade: StoredTrade) -> dict[str, Any]:
    """Return one trade. Raises Refused for a row that stands for several, as Binance's own feed delivers them."""
    if trade.first_id != trade.last_id:
        raise Refused(UNSUPPORTED, "This operation is not supported. Of this market, trades are stored as aggTrades.")
    return {
        "id": trade.first_id,
        "price": trade.price,
        "qty": trade.amount,
        "quoteQty": trade.quote,
        "time": trade.time_us // 1000,
        "isBuyerMaker": trade.side != BUY,
        "isBestMatch": True,
    }


def aggregate_json(trade: StoredTrade) -> dict[str, Any]:
    """Return one row as an aggregate of the trades f to l."""
    return {
        "a": trade.number,
        "p": trade.price,
        "q": trade.amount,
        "f": trade.first_id,
        "l": trade.last_id,
        "T": trade.time_us // 1000,
        "m": trade.side != BUY,
        "M": True,
    }


def read_trades(market: Market, question: BinanceTradesQuestion, shown: Callable[[StoredTrade], Any]) -> list[Any]:
    """Return the trades that are asked for, ascending. Raises Refused if none of this market has an id."""
    ((since, until),) = fetch_all(statement("binance", "bounds"), {"market": market.pk})
    if since is None:
        raise Refused(
            UNSUPPORTED, f"This operation is not supported. No trade of {market.symbol} has an id of its venue."
        )
    stop = question.stop + MILLISECOND if question.stop else LATEST
    values: dict[str, Any] = {"market": market.pk, "stop": stop, "limit": question.limit}
    if question.from_id is None and question.start is None:
        return [shown(StoredTrade(*row)) for row in fetch_all(statement("binance", "newest"), values)]
    start = question.start or EARLIEST
    if question.from_id is not None:
        start = _time_before(market, question.from_id, since, until)
    values |= {"start": start, "from": question.from_id}
    return [shown(StoredTrade(*row)) for row in fetch_all(statement("binance", "onward"), values)]


def _time_before(market: Market, number: int, low: datetime, high: datetime) -> datetime:
    """Return a time shortly before the trade with a number, found by halves: trades are stored by time, not by id."""
    while high - low > NEAR:
        middle = low + (high - low) / 2
        found = fetch_all(statement("binance", "around"), {"market": market.pk, "at": middle})
        if found and found[0][1] < number:
            low = max(found[0][0], middle)
        else:
            high = middle
    return low - NEAR
