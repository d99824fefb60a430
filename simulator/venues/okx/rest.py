"""OKX's REST: trades by id and candles, both newest first, instruments, the clock; most errors have HTTP status 200."""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import Route

from simulator.numerals import fixed
from simulator.trades import SECOND_NS
from simulator.venues.candles import bucket_start, candles
from simulator.venues.okx.frames import MILLISECOND_NS, candle_row, trade_row
from simulator.venues.rest import HTML_PAGE, Answered, Refused, Troubles, VenueRest, whole
from simulator.venues.venue import Market

MAX_TRADES, MAX_CANDLES, USUAL_ROWS = 100, 300, 100
CHINA_S = 57_600  # the second of a UTC day at which it begins in China
BARS = {"1m": (60, 0), "5m": (300, 0), "15m": (900, 0), "1H": (3600, 0), "1D": (86_400, CHINA_S), "1Dutc": (86_400, 0)}


def _error(code: str, message: str) -> dict[str, object]:
    return {"code": code, "msg": message, "data": []}


TROUBLES: Troubles = {
    "ratelimit": (429, _error("50011", "Too Many Requests")),
    "ban": (418, _error("50011", "Too Many Requests")),
    "region": (451, _error("50125", "Not available in your region")),
    "firewall": (403, HTML_PAGE.replace("502 Bad Gateway", "403 Forbidden")),
    "maintenance": (503, _error("50001", "Service temporarily unavailable. Try again later")),
    "busy": (200, _error("50013", "Systems are busy. Please try again later.")),
    "html": (502, HTML_PAGE),
    "garbage": (200, '{"code":"0","msg":"","data":[{"tradeId":"soon"'),
}


class OkxRest(VenueRest):
    """OKX's addresses, as often as it allows: 20 calls in two seconds, of all addresses together."""

    troubles = TROUBLES

    def routes(self) -> list[Route]:
        """Return the addresses."""
        return [
            self.route("/api/v5/public/time", self._time),
            self.route("/api/v5/public/instruments", self._instruments),
            self.route("/api/v5/market/history-trades", self._trades),
            self.route("/api/v5/market/history-candles", self._candles),
        ]

    def _time(self, request: Request) -> Answered:
        return Answered({"code": "0", "data": [{"ts": str(self.venue.shown() // MILLISECOND_NS)}], "msg": ""})

    def _instruments(self, request: Request) -> Answered:
        if request.query_params.get("instType") != "SPOT":
            raise _bad("51000", "Parameter instType error")
        return Answered(
            {"code": "0", "data": [self._described(market) for market in self.venue.markets.values()], "msg": ""}
        )

    def _described(self, market: Market) -> dict[str, object]:
        refused = self.venue.faults.is_refused(str(market.pair), self.venue.now())
        return {
            "instType": "SPOT",
            "instId": market.name,
            "baseCcy": market.pair.base,
            "quoteCcy": market.pair.quote,
            "tickSz": fixed(1, market.source.price_places, 0),
            "lotSz": fixed(1, market.source.amount_places, 0),
            "minSz": "0.00001",
            "state": "suspend" if refused else "live",
        }

    def _market(self, request: Request) -> Market:
        market = self.venue.markets.get(request.query_params.get("instId", ""))
        if market is None:
            raise _bad("51001", "Instrument ID doesn't exist.")
        return market

    def _trades(self, request: Request) -> Answered:
        """Answer with a page: ids below `after`, or the newest of those above `before`."""
        market = self._market(request)
        if request.query_params.get("type", "1") != "1":
            raise _bad("51000", "Parameter type error")
        after, before, limit = _number(request, "after"), _number(request, "before"), _limit(request, MAX_TRADES)
        first, known = self.venue.known(market)
        stop = known if after is None else min(known, max(first, self.venue.shifted(market.ledger.number_of(after))))
        if before is not None:
            first = max(first, market.ledger.number_of(before + 1))
        rows = market.ledger.rows(max(first, stop - limit), stop)[::-1]
        return _rows([trade_row(market, row) for row in rows])

    def _candles(self, request: Request) -> Answered:
        """Answer with candles that begin before `after` and after `before`, the running one among them."""
        market, limit = self._market(request), _limit(request, MAX_CANDLES)
        bar = request.query_params.get("bar", "1m")
        if bar not in BARS:
            raise _bad("51000", "Parameter bar error")
        (seconds, offset), now = BARS[bar], self.venue.now()
        after, before = _number(request, "after"), _number(request, "before")
        running = bucket_start(now // SECOND_NS, seconds, offset)
        last = running if after is None else min(running, bucket_start((after - 1) // 1000, seconds, offset))
        first = last - (limit - 1) * seconds
        if before is not None:
            first = max(first, bucket_start(before // 1000, seconds, offset) + seconds)
        found = candles(market.source, seconds, range(first, last + 1, seconds), now)
        rows = [row for each in found if (row := candle_row(market, each, each.start < running))]
        return _rows(rows[::-1])


def _rows(rows: list[str]) -> Answered:
    return Answered(f'{{"code":"0","msg":"","data":[{",".join(rows)}]}}')


def _bad(code: str, message: str) -> Refused:
    return Refused(_error(code, message), 200)


def _number(request: Request, name: str) -> int | None:
    try:
        return whole(request, name)
    except ValueError as exc:
        raise _bad("51000", f"Parameter {name} error") from exc


def _limit(request: Request, most: int) -> int:
    """Return how many rows are asked for; more than the most are the most."""
    return min(_number(request, "limit") or USUAL_ROWS, most)
