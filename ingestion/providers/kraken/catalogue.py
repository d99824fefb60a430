"""Kraken's asset pairs and clock."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.answers import Answer, ListedMarket, MarketState, PairList, ProviderTime, Request, Trouble
from ingestion.providers.kraken.history import read_result
from ingestion.providers.kraken.names import KrakenNames, rest_name
from ingestion.providers.reading import DECODE_ERRORS, no_data, plausible_time

TRADING = ("online", "limit_only", "reduce_only")  # of status; also cancel_only, post_only, work_in_progress, …
MAX_DECIMALS = 40


class _Pair(msgspec.Struct):
    altname: str
    wsname: str
    price_decimals: int | None = msgspec.field(name="pair_decimals", default=None)
    amount_decimals: int | None = msgspec.field(name="lot_decimals", default=None)
    tick: Decimal | None = msgspec.field(name="tick_size", default=None)
    status: str = "online"


class _Time(msgspec.Struct):
    seconds: int = msgspec.field(name="unixtime")


_names = KrakenNames()
_pairs = msgspec.json.Decoder(dict[str, msgspec.Raw])
_pair = msgspec.json.Decoder(_Pair)
_time = msgspec.json.Decoder(_Time)


class KrakenCatalogue:
    """All pairs but those that have no name on the socket; the clock ticks in seconds."""

    def pairs_request(self) -> Request:
        """Return the call for all pairs."""
        return Request("/0/public/AssetPairs")

    def read_pairs(self, answer: Answer) -> PairList | Trouble:
        """Return all pairs; never raises."""
        found = read_result(answer, _pairs)
        if not isinstance(found, dict):
            return found
        markets = [market for raw in found.values() if (market := _market(raw)) is not None]
        return PairList(tuple(markets), len(found) - len(markets))

    def time_request(self) -> Request:
        """Return the call for the clock."""
        return Request("/0/public/Time")

    def read_time(self, answer: Answer) -> ProviderTime | Trouble:
        """Return the clock; never raises."""
        found = read_result(answer, _time)
        if not isinstance(found, _Time):
            return found
        at = plausible_time(found.seconds * SECOND_US)
        return no_data(answer) if at is None else ProviderTime(at, SECOND_US)


def _market(raw: msgspec.Raw) -> ListedMarket | None:
    try:
        row = _pair.decode(raw)
    except DECODE_ERRORS:
        return None
    pair = _names.pair_of(row.wsname)
    # Pages are asked for by the name that is made of the socket's: it has to be the venue's own.
    if pair is None or rest_name(_names.sub_of(pair)) != row.altname:
        return None
    state = MarketState.TRADING if row.status in TRADING else MarketState.HALTED
    if row.status == "delisted":
        state = MarketState.DELISTED
    return ListedMarket(pair, state, row.status, row.tick or _step(row.price_decimals), _step(row.amount_decimals))


def _step(decimals: int | None) -> Decimal | None:
    return Decimal(1).scaleb(-decimals) if decimals is not None and 0 <= decimals <= MAX_DECIMALS else None
