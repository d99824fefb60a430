"""OKX's frames and rows as text: every number is a text, times are milliseconds."""

from __future__ import annotations

from simulator.numerals import plain
from simulator.trades import SECOND_NS
from simulator.venues.candles import Candle
from simulator.venues.ledger import NumberedTrade
from simulator.venues.venue import Market

CHANNEL = "trades-all"
MILLISECOND_NS = SECOND_NS // 1000


def trade_row(market: Market, row: NumberedTrade) -> str:
    """Return a trade as a frame and a page have it; the side is the taker's."""
    source = market.source
    return (
        f'{{"instId":"{market.name}","tradeId":"{row.id}","px":"{plain(row.price, source.price_places)}",'
        f'"sz":"{plain(row.amount, source.amount_places)}","side":"{"sell" if row.sell else "buy"}",'
        f'"ts":"{row.ts // MILLISECOND_NS}","source":"0"}}'
    )


def trade_frame(market: Market, row: NumberedTrade) -> str:
    """Return a trade's frame."""
    return f'{{"arg":{{"channel":"{CHANNEL}","instId":"{market.name}"}},"data":[{trade_row(market, row)}]}}'


def candle_row(market: Market, candle: Candle, confirmed: bool) -> str | None:
    """Return a candle as a page has it, a quiet one flat; None before the first trade."""
    prices, bar, source = candle.prices, candle.bar, market.source
    if prices is None:
        return None
    texts = '","'.join(plain(price, source.price_places) for price in prices)
    volume = plain(bar.volume if bar else 0, source.amount_places)
    quote = plain(bar.quote_volume if bar else 0, source.price_places + source.amount_places)
    return f'["{candle.start * 1000}","{texts}","{volume}","{quote}","{quote}","{int(confirmed)}"]'
