"""Kraken's frames and rows as text. On the socket prices and amounts are JSON numbers; `side` is the taker's."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.numerals import fixed
from simulator.trades import SECOND_NS
from simulator.venues.candles import Candle
from simulator.venues.ledger import NumberedTrade
from simulator.venues.venue import Market, iso

PAGE_PLACES, AMOUNT_PLACES = 5, 8
HEARTBEAT = '{"channel":"heartbeat"}'


def trade_frame(market: Market, rows: Sequence[NumberedTrade], kind: str = "update") -> str:
    """Return one frame of trades, oldest first."""
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(_trade(market, row) for row in rows)}]}}'


def _trade(market: Market, row: NumberedTrade) -> str:
    source = market.source
    return (
        f'{{"symbol":"{market.name}","side":"{"sell" if row.sell else "buy"}",'
        f'"price":{_number(row.price, source.price_places)},"qty":{_number(row.amount, source.amount_places)},'
        f'"ord_type":"{"market" if row.id % 3 else "limit"}","trade_id":{row.id},"timestamp":"{iso(row.ts)}"}}'
    )


def _number(value: int, places: int) -> str:
    """Return a JSON number as Kraken writes it: all of its places; below a ten-thousandth with an exponent."""
    text = fixed(value, places, places)
    if not value or not text.startswith("0.0000"):
        return text
    digits = str(value).rstrip("0")
    exponent = places - len(str(value)) + 1
    return f"{digits[0]}{'.' + digits[1:] if digits[1:] else ''}e-{exponent:02d}"


def trade_row(market: Market, row: NumberedTrade) -> str:
    """Return a trade as a page has it: its time is a number of seconds as a double, a microsecond or a bit less off."""
    source = market.source
    return (
        f'["{fixed(row.price, source.price_places, PAGE_PLACES)}",'
        f'"{fixed(row.amount, source.amount_places, AMOUNT_PLACES)}",{row.ts / SECOND_NS!r},'
        f'"{"s" if row.sell else "b"}","{"m" if row.id % 3 else "l"}","",{row.id}]'
    )


def candle_row(market: Market, candle: Candle) -> str | None:
    """Return a candle as a page has it, a quiet one flat; None before the first trade."""
    prices, bar, source = candle.prices, candle.bar, market.source
    if prices is None:
        return None
    texts = '","'.join(fixed(price, source.price_places, source.price_places) for price in prices)
    average = "0.0"
    if bar and bar.volume:
        average = fixed(round(bar.quote_volume / bar.volume), source.price_places, source.price_places)
    volume = fixed(bar.volume if bar else 0, source.amount_places, AMOUNT_PLACES)
    return f'[{candle.start},"{texts}","{average}","{volume}",{bar.trades if bar else 0}]'
