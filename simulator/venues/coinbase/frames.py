"""Coinbase's frames and rows as text. Its `side` is the maker's."""

from __future__ import annotations

from simulator.numerals import fixed, plain
from simulator.venues.ledger import NumberedTrade
from simulator.venues.venue import Market, iso


def match_frame(market: Market, row: NumberedTrade, kind: str = "match") -> str:
    """Return a trade's frame."""
    source = market.source
    maker, taker = f"{row.id * 2:012x}", f"{row.ts // 1000 & (1 << 48) - 1:012x}"
    return (
        f'{{"type":"{kind}","trade_id":{row.id},"maker_order_id":"f07e510f-4edf-469d-b844-{maker}",'
        f'"taker_order_id":"e6f50944-3e2a-439e-ae49-{taker}","side":"{maker_side(row)}",'
        f'"size":"{plain(row.amount, source.amount_places)}","price":"{plain(row.price, source.price_places)}",'
        f'"product_id":"{market.name}","sequence":{sequence(row.id)},"time":"{iso(row.ts)}"}}'
    )


def heartbeat_frame(market: Market, last_id: int, now: int) -> str:
    """Return a heartbeat that names the last trade."""
    return (
        f'{{"type":"heartbeat","last_trade_id":{last_id},"product_id":"{market.name}",'
        f'"sequence":{sequence(last_id) + 1},"time":"{iso(now)}"}}'
    )


def trade_row(market: Market, row: NumberedTrade) -> str:
    """Return a trade as a page has it: the same numbers with more zeros."""
    source = market.source
    return (
        f'{{"trade_id":{row.id},"side":"{maker_side(row)}","size":"{fixed(row.amount, source.amount_places, 8)}",'
        f'"price":"{fixed(row.price, source.price_places, 8)}","time":"{iso(row.ts)}"}}'
    )


def maker_side(row: NumberedTrade) -> str:
    """Return the side of the order that was there first."""
    return "buy" if row.sell else "sell"


def sequence(id: int) -> int:
    """Return the number of a trade's message in the product's full feed, which we do not have: it rises in jumps."""
    return id * 117 + id * id % 89
