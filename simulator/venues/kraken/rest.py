"""Kraken's REST: trades from a time on, the newest 720 candles, the list of pairs; errors have HTTP status 200."""

from __future__ import annotations

from email.utils import formatdate

from starlette.requests import Request
from starlette.routing import Route

from simulator.numerals import fixed
from simulator.trades import SECOND_NS
from simulator.venues.candles import bucket_start, candles
from simulator.venues.kraken.frames import candle_row, trade_row
from simulator.venues.kraken.names import answer_name, asset_name, list_name, short_name
from simulator.venues.rest import HTML_PAGE, Answered, Refused, Troubles, VenueRest, whole
from simulator.venues.venue import Market, Venue, iso

MAX_TRADES, MAX_CANDLES = 1000, 720
INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10_080, 21_600)
MOST_SECONDS = 10**12  # a greater `since` is in nanoseconds
TROUBLES: Troubles = {
    "ratelimit": (200, {"error": ["EGeneral:Too many requests"]}),
    "ban": (200, {"error": ["EGeneral:Temporary lockout"]}),
    "region": (200, {"error": ["EGeneral:Permission denied"]}),
    "firewall": (403, HTML_PAGE.replace("502 Bad Gateway", "403 Forbidden")),
    "maintenance": (200, {"error": ["EService:Unavailable"]}),
    "busy": (200, {"error": ["EService:Busy"]}),
    "html": (520, HTML_PAGE.replace("502 Bad Gateway", "520 Web server is returning an unknown error")),
    "garbage": (200, '{"error":[],"result":{"XXBTZUSD":[["soon'),
}


class KrakenRest(VenueRest):
    """Kraken's addresses, as often as it allows: about one call a second."""

    troubles = TROUBLES

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue)
        self._by_name = {
            name: market
            for market in venue.markets.values()
            for name in (answer_name(market.pair), short_name(market.pair), list_name(market.pair))
        }

    def routes(self) -> list[Route]:
        """Return the addresses."""
        return [
            self.route("/0/public/Time", self._time),
            self.route("/0/public/SystemStatus", self._status),
            self.route("/0/public/AssetPairs", self._pairs),
            self.route("/0/public/Trades", self._trades),
            self.route("/0/public/OHLC", self._candles),
        ]

    def _time(self, request: Request) -> Answered:
        seconds = self.venue.shown() // SECOND_NS
        return _result({"unixtime": seconds, "rfc1123": formatdate(seconds, usegmt=True)})

    def _status(self, request: Request) -> Answered:
        return _result({"status": "online", "timestamp": iso(self.venue.shown())[:19] + "Z"})

    def _pairs(self, request: Request) -> Answered:
        """Answer with all pairs, or with those named."""
        asked = request.query_params.get("pair")
        markets = [self._market(name) for name in asked.split(",")] if asked else self.venue.markets.values()
        return _result({answer_name(market.pair): self._described(market) for market in markets})

    def _described(self, market: Market) -> dict[str, object]:
        pair, source = market.pair, market.source
        refused = self.venue.faults.is_refused(str(pair), self.venue.now())
        return {
            "altname": short_name(pair),
            "wsname": list_name(pair),
            "aclass_base": "currency",
            "base": asset_name(pair.base),
            "aclass_quote": "currency",
            "quote": asset_name(pair.quote),
            "lot": "unit",
            "cost_decimals": 5,
            "pair_decimals": source.price_places,
            "lot_decimals": source.amount_places,
            "lot_multiplier": 1,
            "ordermin": "0.0001",
            "costmin": "0.5",
            "tick_size": fixed(1, source.price_places, 0),
            "status": "cancel_only" if refused else "online",
        }

    def _market(self, name: str) -> Market:
        market = self._by_name.get(name)
        if market is None:
            raise _bad("EQuery:Unknown asset pair")
        return market

    def _trades(self, request: Request) -> Answered:
        """Answer with trades from a time on, which is included; without it with the newest."""
        market = self._market(request.query_params.get("pair", ""))
        since, count = _number(request, "since"), _number(request, "count")
        count = MAX_TRADES if count is None else count
        if not 0 < count <= MAX_TRADES:
            raise _bad("EGeneral:Invalid arguments:count")
        first, stop = self.venue.known(market)
        if since is None:
            first = max(first, stop - count)
        else:
            since = since * SECOND_NS if since < MOST_SECONDS else since
            first = max(first, self.venue.shifted(market.ledger.count(since - 1)))
        rows = market.ledger.rows(first, min(stop, first + count))
        last = rows[-1].ts if rows else since or 0
        page = ",".join(trade_row(market, row) for row in rows)
        return Answered(f'{{"error":[],"result":{{"{answer_name(market.pair)}":[{page}],"last":"{last}"}}}}')

    def _candles(self, request: Request) -> Answered:
        """Answer with the newest 720 candles, the running one last; `since` leaves out those up to it."""
        market = self._market(request.query_params.get("pair", ""))
        interval, since = _number(request, "interval") or 1, _number(request, "since") or 0
        if interval not in INTERVALS:
            raise _bad("EGeneral:Invalid arguments")
        seconds, now = interval * 60, self.venue.now()
        running = bucket_start(now // SECOND_NS, seconds)
        first = running - (MAX_CANDLES - 1) * seconds
        if first < since <= running:
            first = min(running, bucket_start(since, seconds) + seconds)
        starts = range(first, running + 1, seconds)
        rows = [row for candle in candles(market.source, seconds, starts, now) if (row := candle_row(market, candle))]
        return Answered(
            f'{{"error":[],"result":{{"{answer_name(market.pair)}":[{",".join(rows)}],"last":{running - seconds}}}}}'
        )


def _result(result: object) -> Answered:
    return Answered({"error": [], "result": result})


def _bad(error: str) -> Refused:
    return Refused({"error": [error]}, 200)


def _number(request: Request, name: str) -> int | None:
    try:
        return whole(request, name)
    except ValueError as exc:
        raise _bad(f"EGeneral:Invalid arguments:{name}") from exc
