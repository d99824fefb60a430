"""Binance's exchange info and clock."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import msgspec

from datastore.reference.pairs import Listed
from ingestion.providers.answers import Answer, ListedMarket, MarketState, PairList, ProviderTime, Request, Trouble
from ingestion.providers.binance.history import read_json
from ingestion.providers.binance.names import BinanceNames
from ingestion.providers.reading import DECODE_ERRORS, MS_US, no_data, plausible_time

INFO_WEIGHT = 20


class _Info(msgspec.Struct):
    symbols: list[msgspec.Raw]


class _Filter(msgspec.Struct):
    kind: str = msgspec.field(name="filterType")
    tick: Decimal | None = msgspec.field(name="tickSize", default=None)
    lot: Decimal | None = msgspec.field(name="stepSize", default=None)


class _Symbol(msgspec.Struct):
    symbol: str
    status: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    spot: bool = msgspec.field(name="isSpotTradingAllowed", default=True)
    filters: list[msgspec.Raw] = []


class _Time(msgspec.Struct):
    millis: int = msgspec.field(name="serverTime")


_names = BinanceNames()
_info = msgspec.json.Decoder(_Info)
_filter = msgspec.json.Decoder(_Filter)
_symbol = msgspec.json.Decoder(_Symbol)
_time = msgspec.json.Decoder(_Time)


class BinanceCatalogue:
    """All symbols of one of the two venues; a symbol that was delisted is no longer in the list, or takes a break."""

    def __init__(self, venue: str) -> None:
        """Name the venue whose pairs these are."""
        self._venue = venue

    def pairs_request(self) -> Request:
        """Return the call for all symbols."""
        return Request("/api/v3/exchangeInfo", INFO_WEIGHT)

    def read_pairs(self, answer: Answer) -> PairList | Trouble:
        """Return all symbols; never raises."""
        found = read_json(answer, _info)
        if not isinstance(found, _Info):
            return found
        markets = [market for raw in found.symbols if (market := self._market(raw)) is not None]
        return PairList(tuple(markets), len(found.symbols) - len(markets))

    def time_request(self) -> Request:
        """Return the call for the clock."""
        return Request("/api/v3/time")

    def read_time(self, answer: Answer) -> ProviderTime | Trouble:
        """Return the clock; never raises."""
        found = read_json(answer, _time)
        if not isinstance(found, _Time):
            return found
        at = plausible_time(found.millis * MS_US)
        return no_data(answer) if at is None else ProviderTime(at, MS_US)

    def _market(self, raw: msgspec.Raw) -> ListedMarket | None:
        try:
            symbol = _symbol.decode(raw)
        except DECODE_ERRORS:
            return None
        pair = Listed(self._venue, symbol.base, symbol.quote)
        if not symbol.base or not symbol.quote or _names.sub_of(pair) != symbol.symbol:
            return None
        filters: dict[str, _Filter] = {}
        for each in symbol.filters:
            with suppress(*DECODE_ERRORS):  # of other kinds than the two that we need
                found = _filter.decode(each)
                filters[found.kind] = found
        tick = filters["PRICE_FILTER"].tick if "PRICE_FILTER" in filters else None
        lot = filters["LOT_SIZE"].lot if "LOT_SIZE" in filters else None
        trading = symbol.status == "TRADING" and symbol.spot
        word = symbol.status if symbol.spot else "no spot trading"
        state = MarketState.TRADING if trading else MarketState.HALTED
        return ListedMarket(pair, state, word, tick, lot)
