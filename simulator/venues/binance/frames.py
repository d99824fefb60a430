"""Binance's frames and rows as text: numbers with eight decimals, times in milliseconds."""

from __future__ import annotations

from typing import NamedTuple

from simulator.numerals import fixed
from simulator.trades import MINUTE_NS, SECOND_NS, Source, Trade
from simulator.venues.candles import Candle, part_of
from simulator.venues.ledger import NumberedTrade
from simulator.venues.venue import Market

PLACES = 8
MAX_CUT_TRADES = 2000  # of a minute whose quote volume is worked out trade by trade
MILLISECOND_NS = SECOND_NS // 1000


class Kline(NamedTuple):
    """One candle as Binance has it; the ids are -1 if nothing was traded, the volumes texts."""

    candle: Candle
    seconds: int
    first: int
    last: int
    prices: tuple[str, str, str, str]
    volume: str
    quote_volume: str
    buy_volume: str
    buy_quote_volume: str

    @property
    def trades(self) -> int:
        """Return how many trades are in it."""
        return self.candle.bar.trades if self.candle.bar else 0

    @property
    def start_ms(self) -> int:
        """Return its first millisecond."""
        return self.candle.start * 1000

    @property
    def end_ms(self) -> int:
        """Return its last millisecond."""
        return (self.candle.start + self.seconds) * 1000 - 1


def aggregate_fields(market: Market, row: NumberedTrade) -> str:
    """Return what a frame and a row of a page have in common; `m`: the buyer was the maker, the taker sold."""
    source = market.source
    return (
        f'"a":{row.id},"p":"{fixed(row.price, source.price_places, PLACES)}",'
        f'"q":"{fixed(row.amount, source.amount_places, PLACES)}","f":{row.first},"l":{row.last},'
        f'"T":{row.ts // MILLISECOND_NS},"m":{"true" if row.sell else "false"},"M":true'
    )


def aggregate_frame(market: Market, row: NumberedTrade, now: int) -> str:
    """Return an aggregate's frame, sent at `now`."""
    return (
        f'{{"e":"aggTrade","E":{max(now, row.ts) // MILLISECOND_NS},"s":"{market.name}",'
        f"{aggregate_fields(market, row)}}}"
    )


def trade_row(market: Market, row: NumberedTrade) -> str:
    """Return a single trade's row; its quote volume is cut to eight decimals."""
    source = market.source
    quote = cut(row.price * row.amount, source.price_places + source.amount_places)
    return (
        f'{{"id":{row.id},"price":"{fixed(row.price, source.price_places, PLACES)}",'
        f'"qty":"{fixed(row.amount, source.amount_places, PLACES)}","quoteQty":"{fixed(quote, PLACES, PLACES)}",'
        f'"time":{row.ts // MILLISECOND_NS},"isBuyerMaker":{"true" if row.sell else "false"},"isBestMatch":true}}'
    )


def kline_of(market: Market, candle: Candle, seconds: int, quote: int) -> Kline | None:
    """Return a candle with its ids and volumes, `quote` in 10**-8; None before the first trade."""
    prices = candle.prices
    if prices is None:
        return None
    source, bar = market.source, candle.bar
    first = last = -1
    if bar:
        number = source.numbers.before(candle.start // 60)
        first, last = source.id_at(number), source.id_at(number + bar.trades - 1)
    volume = bar.volume if bar else 0
    return Kline(
        candle,
        seconds,
        first,
        last,
        tuple(fixed(price, source.price_places, PLACES) for price in prices),  # type: ignore[arg-type]
        fixed(volume, source.amount_places, PLACES),
        fixed(quote, PLACES, PLACES),
        # Who bought is not summed up for each minute: about half, as the market draws it.
        fixed(volume // 2, source.amount_places, PLACES),
        fixed(quote // 2, PLACES, PLACES),
    )


def kline_frame(market: Market, kline: Kline, closed: bool, now: int) -> str:
    """Return a one-minute candle's frame, sent at `now`."""
    first, high, low, close = kline.prices
    return (
        f'{{"e":"kline","E":{now // MILLISECOND_NS},"s":"{market.name}","k":{{"t":{kline.start_ms},'
        f'"T":{kline.end_ms},"s":"{market.name}","i":"1m","f":{kline.first},"L":{kline.last},"o":"{first}",'
        f'"c":"{close}","h":"{high}","l":"{low}","v":"{kline.volume}","n":{kline.trades},'
        f'"x":{"true" if closed else "false"},"q":"{kline.quote_volume}","V":"{kline.buy_volume}",'
        f'"Q":"{kline.buy_quote_volume}","B":"0"}}}}'
    )


def kline_row(kline: Kline) -> str:
    """Return a candle as a page has it."""
    prices = '","'.join(kline.prices)
    return (
        f'[{kline.start_ms},"{prices}","{kline.volume}",{kline.end_ms},"{kline.quote_volume}",{kline.trades},'
        f'"{kline.buy_volume}","{kline.buy_quote_volume}","0"]'
    )


def cut(value: int, places: int) -> int:
    """Return a number of so many places in units of 10**-8, further digits cut off."""
    unit, scale = 10 ** max(0, places - PLACES), 10 ** max(0, PLACES - places)
    return int(value // unit * scale)


def cut_sum(source: Source, trades: list[Trade]) -> int:
    """Return the sum of price times amount of trades, each cut to eight decimals."""
    places = source.price_places + source.amount_places
    return sum(cut(trade.price * trade.amount, places) for trade in trades)


def quote_volume(market: Market, candle: Candle, seconds: int, now: int) -> int:
    """Return price times amount, cut to eight decimals for each trade, as known at `now` (ns).

    Longer candles, and very busy minutes, are not worked out trade by trade: there each lost half a unit.
    """
    source, bar = market.source, candle.bar
    if bar is None:
        return 0
    if seconds == 60 and bar.trades <= MAX_CUT_TRADES:
        minute = candle.start // 60
        if (minute + 1) * MINUTE_NS <= now + 1:
            return source.cut_quote_volume(minute, PLACES)
        return cut_sum(source, part_of(source, minute, now))
    places = source.price_places + source.amount_places
    return max(0, cut(bar.quote_volume, places) - bar.trades // 2)
