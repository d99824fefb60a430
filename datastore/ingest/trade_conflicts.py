"""Trades whose id another trade of the same market and time has: kept apart by their numbers, or refused by name.

A trade that is stored with the same price, amount and side is a repeat, whichever connection brings it. One with other
content is another trade whose id cannot be trusted. Where both have a number, the second is stored under an id made
from it, the same in every replay. Where they do not, nobody can say which is right: it becomes a dead letter, and
nothing is proven around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from datastore.db.queries import fetch_all
from datastore.ingest.trade_columns import columns_of
from streaming.records import Trade, numbered_id
from streaming.refusals import Refusal, RefusalCode

CONTRADICTED = (
    "select * from contradicted(%s::int[], %s::int[], %s::bigint[], %s::bigint[], %s::smallint[], %s::text[],"
    " %s::numeric[], %s::numeric[])"
)
_SIDES = {1: "buy", -1: "sell", 0: "side unknown"}


class GivenTrade(NamedTuple):
    """A trade of a batch: its place there from 0, and the id of its market."""

    at: int
    market_id: int
    trade: Trade


class Conflicts(NamedTuple):
    """Trades that are to be stored under another id, and why the others are refused, by their index in the batch."""

    renamed: list[GivenTrade]
    refused: dict[int, Refusal]


def find_conflicts(given: Sequence[GivenTrade]) -> Conflicts:
    """Return what is to be done about the trades that are stored with other content; ask after storing them."""
    renamed: list[GivenTrade] = []
    refused: dict[int, Refusal] = {}
    ids, *columns = arguments_of(given)
    for place, seq, *content in fetch_all(CONTRADICTED, [ids, *columns[:7]]):
        one = given[place - 1]
        number = one.trade.seq
        if number is not None and seq is not None and number != seq:
            renamed.append(one._replace(trade=replace(one.trade, id=numbered_id(one.trade.id, number))))
        else:
            side, price, amount = content
            known = f"{price:f} x {amount:f} {_SIDES[side]}, number {seq}"
            came = f"{one.trade.price:f} x {one.trade.amount:f} {_SIDES[one.trade.side]}, number {one.trade.seq}"
            refused[one.at] = Refusal(
                RefusalCode.CONFLICT,
                f"the id {one.trade.id[:60]!r} is that of another trade: known {known}; came {came}",
            )
    return Conflicts(renamed, refused)


def arguments_of(given: Sequence[GivenTrade]) -> list[Any]:
    """Return these trades as arguments of the SQL function ingest."""
    ids = sorted({one.market_id for one in given})
    places = {market_id: str(place) for place, market_id in enumerate(ids, start=1)}
    return [ids, *columns_of([places[one.market_id] for one in given], [one.trade for one in given])]
