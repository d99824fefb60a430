"""Binance's REST: aggregates and trades from an id on, candles, exchange info, with weights."""

from __future__ import annotations

from typing import cast

from starlette.requests import Request
from starlette.routing import Route

from simulator.numerals import fixed
from simulator.trades import SECOND_NS
from simulator.venues.binance.frames import (
    MILLISECOND_NS,
    PLACES,
    aggregate_fields,
    kline_of,
    kline_row,
    quote_volume,
    trade_row,
)
from simulator.venues.candles import bucket_start, candles
from simulator.venues.faults import RestTrouble
from simulator.venues.ledger import Ledger
from simulator.venues.limits import Window
from simulator.venues.rest import HTML_PAGE, Answered, Refused, Troubles, VenueRest, whole
from simulator.venues.venue import Market, Venue

MAX_ROWS, DEFAULT_ROWS = 1000, 500
DAY_S = 86_400
MONDAY_S = 4 * DAY_S  # the first Monday after 1970-01-01
INTERVALS = {
    "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14_400, "6h": 21_600,
    "8h": 28_800, "12h": 43_200, "1d": DAY_S, "3d": 3 * DAY_S, "1w": 7 * DAY_S,
}  # fmt: skip
RESTRICTED = (
    "Service unavailable from a restricted location according to 'b. Eligibility' in "
    "https://www.binance.com/en/terms. Please contact customer service if you believe you received this message "
    "in error."
)
BAN_S = 120
PATIENCE = 10  # so many calls over the limit are answered with 429, then the address is banned
TROUBLES: Troubles = {
    "region": (451, {"code": 0, "msg": RESTRICTED}),
    "firewall": (403, HTML_PAGE.replace("502 Bad Gateway", "403 Forbidden")),
    "maintenance": (503, {"code": -1016, "msg": "This service is no longer available."}),
    "busy": (503, {"code": -1008, "msg": "Server is currently overloaded with other requests. Please try again."}),
    "html": (502, HTML_PAGE),
    "garbage": (200, '[{"a":"soon"},'),
}


class BinanceRest(VenueRest):
    """The addresses of Binance, or of Binance.US."""

    troubles = TROUBLES

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue)
        self._singles = {name: Ledger(market.source) for name, market in venue.markets.items()}
        self._window = cast(Window, venue.limits["weight"])
        self._banned_until = 0.0  # of the wall clock, in seconds
        self._over = 0  # calls over the limit in this window

    def routes(self) -> list[Route]:
        """Return the addresses."""
        return [
            self.route("/api/v3/ping", lambda request: Answered("{}")),
            self.route("/api/v3/time", self._time),
            self.route("/api/v3/exchangeInfo", self._info, weight=20),
            self.route("/api/v3/aggTrades", self._aggregates, weight=4),
            self.route("/api/v3/trades", self._trades, weight=25),
            self.route("/api/v3/historicalTrades", self._trades, weight=25),
            self.route("/api/v3/klines", self._klines, weight=2),
            self.route("/api/v3/uiKlines", self._klines, weight=2),
        ]

    def trouble(self, fault: RestTrouble) -> Answered:
        """Return an error as Binance words it."""
        if fault.kind in ("ratelimit", "ban"):
            is_ban = fault.kind == "ban"
            wait = fault.retry_after if fault.retry_after is not None else BAN_S if is_ban else 60
            until = self.venue.shown() // MILLISECOND_NS + wait * 1000
            most = f"current limit is {self._window.most} request weight per 1 MINUTE."
            words = f"Way too much request weight used; IP banned until {until}." if is_ban else f"Too many; {most}"
            return Answered({"code": -1003, "msg": words}, 418 if is_ban else 429, {"Retry-After": str(wait)})
        return super().trouble(fault)

    def count(self, weight: int) -> Answered | None:
        """Count a call and its weight; those who go on after HTTP 429 are banned."""
        now = self.venue.wall()
        within = [self.venue.take("calls"), self.venue.take("weight", weight)]
        if now < self._banned_until:
            return self.trouble(RestTrouble(kind="ban", retry_after=int(self._banned_until - now) + 1))
        if all(within):
            self._over = 0
            return None
        self._over += 1
        if self._over > PATIENCE:
            self._banned_until = now + BAN_S
            return self.trouble(RestTrouble(kind="ban"))
        return self.trouble(RestTrouble(kind="ratelimit", retry_after=self._window.left_s(now)))

    def headers(self) -> dict[str, str]:
        """Return the weight that is used."""
        used = str(self._window.used)
        return {"x-mbx-uuid": f"{self.venue.now():036d}", "x-mbx-used-weight": used, "x-mbx-used-weight-1m": used}

    def _time(self, request: Request) -> Answered:
        return Answered({"serverTime": self.venue.shown() // MILLISECOND_NS})

    def _info(self, request: Request) -> Answered:
        """Answer with all symbols, or with one."""
        asked = request.query_params.get("symbol")
        markets = [self._market(request)] if asked is not None else list(self.venue.markets.values())
        rates = [
            {"rateLimitType": kind, "interval": "MINUTE", "intervalNum": limit.seconds // 60, "limit": limit.most}
            for kind, name in (("REQUEST_WEIGHT", "weight"), ("RAW_REQUESTS", "calls"))
            if isinstance(limit := self.venue.limits[name], Window)
        ]
        return Answered(
            {
                "timezone": "UTC",
                "serverTime": self.venue.shown() // MILLISECOND_NS,
                "rateLimits": rates,
                "exchangeFilters": [],
                "symbols": [self._described(market) for market in markets],
            }
        )

    def _described(self, market: Market) -> dict[str, object]:
        pair, source = market.pair, market.source
        tick, lot = (fixed(1, places, PLACES) for places in (source.price_places, source.amount_places))
        refused = self.venue.faults.is_refused(str(pair), self.venue.now())
        return {
            "symbol": market.name,
            "status": "BREAK" if refused else "TRADING",
            "baseAsset": pair.base,
            "baseAssetPrecision": PLACES,
            "quoteAsset": pair.quote,
            "quotePrecision": PLACES,
            "orderTypes": ["LIMIT", "MARKET"],
            "isSpotTradingAllowed": True,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
                {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000.00000000", "stepSize": lot},
                {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
            ],
            "permissions": [],
        }

    def _market(self, request: Request) -> Market:
        symbol = request.query_params.get("symbol")
        if not symbol:
            raise _bad(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        market = self.venue.markets.get(symbol)
        if market is None:
            raise _bad(-1121, "Invalid symbol.")
        return market

    def _aggregates(self, request: Request) -> Answered:
        """Answer with aggregates: from an id on, of a time, or the newest ones."""
        market = self._market(request)
        from_id, start, end = (_number(request, name) for name in ("fromId", "startTime", "endTime"))
        if from_id is not None and (start is not None or end is not None):
            raise _bad(-1128, "Combination of optional parameters invalid.")
        ledger, limit = market.ledger, _limit(request)
        first, stop = self.venue.known(market)
        if from_id is not None:
            first = max(first, self.venue.shifted(ledger.number_of(from_id)))
        elif start is not None:
            first = max(first, ledger.count(start * MILLISECOND_NS - 1))
        if end is not None:
            stop = min(stop, ledger.count((end + 1) * MILLISECOND_NS - 1))
        if from_id is None and start is None:
            first = max(first, stop - limit)
        rows = ledger.rows(first, min(stop, first + limit))
        return Answered(f"[{','.join(f'{{{aggregate_fields(market, row)}}}' for row in rows)}]")

    def _trades(self, request: Request) -> Answered:
        """Answer with single trades: from an id on, or the newest ones."""
        market = self._market(request)
        ledger, limit, from_id = self._singles[market.name], _limit(request), _number(request, "fromId")
        stop = ledger.count(self.venue.now())
        first = max(0, stop - limit) if from_id is None else ledger.number_of(from_id)
        rows = ledger.rows(first, min(stop, first + limit))
        return Answered(f"[{','.join(trade_row(market, row) for row in rows)}]")

    def _klines(self, request: Request) -> Answered:
        """Answer with candles, oldest first, quiet ones flat; the newest ones without a start."""
        market = self._market(request)
        seconds = INTERVALS.get(request.query_params.get("interval", ""))
        if seconds is None:
            raise _bad(-1120, "Invalid interval.")
        start, end, limit = _number(request, "startTime"), _number(request, "endTime"), _limit(request)
        now, offset = self.venue.now(), MONDAY_S if seconds == INTERVALS["1w"] else 0
        last = bucket_start(now // SECOND_NS, seconds, offset)
        if end is not None:
            last = min(last, bucket_start(end // 1000, seconds, offset))
        if start is None:
            first = last - (limit - 1) * seconds
        else:
            first = -(-(start - offset * 1000) // (seconds * 1000)) * seconds + offset
        first = max(first, bucket_start(self._listed(market), seconds, offset))
        starts = range(first, min(last + 1, first + limit * seconds), seconds)
        rows = [
            kline_row(kline)
            for candle in candles(market.source, seconds, starts, now)
            if (kline := kline_of(market, candle, seconds, quote_volume(market, candle, seconds, now)))
        ]
        return Answered(f"[{','.join(rows)}]")

    def _listed(self, market: Market) -> int:
        """Return the start of the minute (seconds) of a market's first trade; now if there was none yet."""
        if not market.ledger.count(self.venue.now()):
            return self.venue.now() // SECOND_NS
        return market.source.numbers.minute_of(0) * 60


def _bad(code: int, message: str) -> Refused:
    return Refused({"code": code, "msg": message})


def _number(request: Request, name: str) -> int | None:
    try:
        return whole(request, name)
    except ValueError as exc:
        raise _bad(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.") from exc


def _limit(request: Request) -> int:
    limit = _number(request, "limit")
    if limit == 0:
        raise _bad(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(limit or DEFAULT_ROWS, MAX_ROWS)
