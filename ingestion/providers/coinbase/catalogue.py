"""Coinbase Exchange's products and clock."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ingestion.providers.answers import Answer, ListedMarket, MarketState, PairList, ProviderTime, Request, Trouble
from ingestion.providers.coinbase.history import rows_of
from ingestion.providers.coinbase.names import NAMES
from ingestion.providers.reading import DECODE_ERRORS, micros_of_text, no_data, trouble_of


class _Product(msgspec.Struct):
    id: str
    base: str = msgspec.field(name="base_currency")
    quote: str = msgspec.field(name="quote_currency")
    lot: Decimal | None = msgspec.field(name="base_increment", default=None)
    tick: Decimal | None = msgspec.field(name="quote_increment", default=None)
    status: str = "online"
    trading_disabled: bool = False
    cancel_only: bool = False
    post_only: bool = False
    auction_mode: bool = False


class _Time(msgspec.Struct):
    iso: str


HALTS = ("trading_disabled", "cancel_only", "post_only", "auction_mode")  # limit orders trade under `limit_only`
_product = msgspec.json.Decoder(_Product)
_time = msgspec.json.Decoder(_Time)


class CoinbaseCatalogue:
    """All products; the clock ticks in milliseconds."""

    def pairs_request(self) -> Request:
        """Return the call for all products."""
        return Request("/products")

    def read_pairs(self, answer: Answer) -> PairList | Trouble:
        """Return all products; never raises."""
        found = rows_of(answer)
        if not isinstance(found, list):
            return found
        markets = [market for raw in found if (market := _market(raw)) is not None]
        return PairList(tuple(markets), len(found) - len(markets))

    def time_request(self) -> Request:
        """Return the call for the clock."""
        return Request("/time")

    def read_time(self, answer: Answer) -> ProviderTime | Trouble:
        """Return the clock; never raises."""
        if trouble := trouble_of(answer, None, {}):
            return trouble
        try:
            at = micros_of_text(_time.decode(answer.body).iso)
        except DECODE_ERRORS:
            at = None
        return no_data(answer) if at is None else ProviderTime(at, 1000)


def _market(raw: msgspec.Raw) -> ListedMarket | None:
    try:
        product = _product.decode(raw)
    except DECODE_ERRORS:
        return None
    pair = NAMES.pair_of(product.id)
    if pair is None or (pair.base, pair.quote) != (product.base, product.quote):
        return None
    halts = [name for name in HALTS if getattr(product, name)]
    state = MarketState.TRADING if product.status == "online" and not halts else MarketState.HALTED
    if product.status == "delisted":
        state = MarketState.DELISTED
    word = product.status if product.status != "online" or not halts else halts[0]
    return ListedMarket(pair, state, word, product.tick, product.lot)
