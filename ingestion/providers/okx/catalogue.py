"""OKX's spot instruments and clock."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ingestion.providers.answers import Answer, ListedMarket, MarketState, PairList, ProviderTime, Request, Trouble
from ingestion.providers.okx.history import ROWS, read_data
from ingestion.providers.okx.names import NAMES
from ingestion.providers.reading import DECODE_ERRORS, MS_US, no_data, plausible_time


class _Instrument(msgspec.Struct):
    sub: str = msgspec.field(name="instId")
    tick: Decimal = msgspec.field(name="tickSz")
    lot: Decimal = msgspec.field(name="lotSz")
    state: str  # live, suspend, preopen, test


class _Time(msgspec.Struct):
    millis: int = msgspec.field(name="ts")


_instrument = msgspec.json.Decoder(_Instrument)
_times = msgspec.json.Decoder(list[_Time], strict=False)


class OkxCatalogue:
    """All instruments of the spot market; one that was delisted is no longer in the list."""

    def pairs_request(self) -> Request:
        """Return the call for all instruments."""
        return Request("/api/v5/public/instruments?instType=SPOT")

    def read_pairs(self, answer: Answer) -> PairList | Trouble:
        """Return all instruments; never raises."""
        found = read_data(answer, ROWS)
        if not isinstance(found, list):
            return found
        markets = [market for raw in found if (market := _market(raw)) is not None]
        return PairList(tuple(markets), len(found) - len(markets))

    def time_request(self) -> Request:
        """Return the call for the clock."""
        return Request("/api/v5/public/time")

    def read_time(self, answer: Answer) -> ProviderTime | Trouble:
        """Return the clock; never raises."""
        found = read_data(answer, _times)
        if not isinstance(found, list):
            return found
        at = plausible_time(found[0].millis * MS_US) if found else None
        return no_data(answer) if at is None else ProviderTime(at, MS_US)


def _market(raw: msgspec.Raw) -> ListedMarket | None:
    try:
        row = _instrument.decode(raw)
    except DECODE_ERRORS:
        return None
    state = MarketState.TRADING if row.state == "live" else MarketState.HALTED
    pair = NAMES.pair_of(row.sub)
    return None if pair is None else ListedMarket(pair, state, row.state, row.tick, row.lot)
