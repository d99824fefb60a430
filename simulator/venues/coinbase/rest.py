"""Coinbase's REST: products, trades by id (newest first), candles (newest first, without empty ones), the clock."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.routing import Route

from simulator.numerals import as_float, fixed, plain
from simulator.trades import SECOND_NS
from simulator.venues.candles import bucket_start, candles
from simulator.venues.coinbase.frames import trade_row
from simulator.venues.rest import HTML_PAGE, Answered, Refused, Troubles, VenueRest, whole
from simulator.venues.venue import Market, iso

MAX_TRADES, MAX_CANDLES = 1000, 300
GRANULARITIES = (60, 300, 900, 3600, 21600, 86400)
TROUBLES: Troubles = {
    "ratelimit": (429, {"message": "Public rate limit exceeded"}),
    "ban": (418, {"message": "Public rate limit exceeded, your address is banned"}),
    "region": (451, {"message": "Unavailable For Legal Reasons"}),
    "firewall": (403, HTML_PAGE.replace("502 Bad Gateway", "403 Forbidden")),
    "maintenance": (503, {"message": "Service is under maintenance"}),
    "busy": (503, {"message": "Service Unavailable"}),
    "html": (502, HTML_PAGE),
    "garbage": (200, '[{"trade_id":"soon"},'),
}


class CoinbaseRest(VenueRest):
    """Coinbase's addresses, as often as it allows: 10 calls a second, bursts of 15."""

    troubles = TROUBLES

    def routes(self) -> list[Route]:
        """Return the addresses."""
        return [
            self.route("/time", self._time),
            self.route("/products", self._products),
            self.route("/products/{product}", self._product),
            self.route("/products/{product}/trades", self._trades),
            self.route("/products/{product}/candles", self._candles),
        ]

    def _time(self, request: Request) -> Answered:
        now = self.venue.shown()
        return Answered(f'{{"iso":"{iso(now)[:-4]}Z","epoch":{now // 10**6 / 1000}}}')

    def _products(self, request: Request) -> Answered:
        return Answered([self._described(market) for market in self.venue.markets.values()])

    def _product(self, request: Request) -> Answered:
        return Answered(self._described(self._market(request)))

    def _described(self, market: Market) -> dict[str, object]:
        pair, places = market.pair, market.source
        refused = self.venue.faults.is_refused(str(pair), self.venue.now())
        return {
            "id": market.name,
            "base_currency": pair.base,
            "quote_currency": pair.quote,
            "quote_increment": fixed(1, places.price_places, 0),
            "base_increment": fixed(1, places.amount_places, 0),
            "display_name": f"{pair.base}/{pair.quote}",
            "min_market_funds": "1",
            "margin_enabled": False,
            "post_only": False,
            "limit_only": False,
            "cancel_only": False,
            "status": "delisted" if refused else "online",
            "status_message": "",
            "trading_disabled": refused,
            "fx_stablecoin": False,
            "auction_mode": False,
        }

    def _market(self, request: Request) -> Market:
        if not request.headers.get("user-agent"):
            raise Refused({"message": "User-Agent header is required."})
        market = self.venue.markets.get(request.path_params["product"])
        if market is None:
            raise Refused({"message": "NotFound"}, 404)
        return market

    def _trades(self, request: Request) -> Answered:
        """Answer with a page: ids below `after`, or the newest of those above `before`."""
        market = self._market(request)
        try:
            limit, after, before = (whole(request, name) for name in ("limit", "after", "before"))
        except ValueError as exc:
            raise Refused({"message": f"{exc} is not a valid number"}) from exc
        limit = MAX_TRADES if limit is None else limit
        if not 0 < limit <= MAX_TRADES:
            raise Refused({"message": f"limit must be between 1 and {MAX_TRADES}"})
        first, known = self.venue.known(market)
        stop = known if after is None else min(known, max(first, self.venue.shifted(market.ledger.number_of(after))))
        if before is not None:
            first = max(first, market.ledger.number_of(before + 1))
        rows = market.ledger.rows(max(first, stop - limit), stop)[::-1]
        ends = {"CB-BEFORE": str(rows[0].id), "CB-AFTER": str(rows[-1].id)} if rows else {}
        return Answered(f"[{','.join(trade_row(market, row) for row in rows)}]", headers=ends)

    def _candles(self, request: Request) -> Answered:
        """Answer with candles, newest first; buckets without trades are left out."""
        market = self._market(request)
        asked = request.query_params
        if asked.get("granularity", "60") not in map(str, GRANULARITIES):
            raise Refused({"message": "Unsupported granularity"})
        seconds = int(asked.get("granularity", "60"))
        now = self.venue.now()
        last = bucket_start(now // SECOND_NS, seconds)
        first = last - (MAX_CANDLES - 1) * seconds
        if "start" in asked and "end" in asked:
            first = -(-_seconds(asked["start"]) // seconds) * seconds
            last = min(last, bucket_start(_seconds(asked["end"]), seconds))
            if (last - first) // seconds >= MAX_CANDLES:
                raise Refused(
                    {"message": "granularity too small for the requested time range. "
                     f"Count of aggregations requested exceeds {MAX_CANDLES}"}
                )  # fmt: skip
        source = market.source
        rows = [
            f"[{each.start},{plain(bar.low, source.price_places)},{plain(bar.high, source.price_places)},"
            f"{plain(bar.first, source.price_places)},{plain(bar.close, source.price_places)},"
            f"{as_float(bar.volume, source.amount_places)}]"
            for each in candles(source, seconds, range(first, last + 1, seconds), now)
            if (bar := each.bar)
        ]
        return Answered(f"[{','.join(reversed(rows))}]")


def _seconds(text: str) -> int:
    """Return the time of a parameter: ISO 8601, UTC if it does not say, or seconds."""
    try:
        if text.isdecimal():
            return int(text)
        time = datetime.fromisoformat(text.replace(" ", "+"))
        return int(time.replace(tzinfo=time.tzinfo or UTC).timestamp())
    except (ValueError, OverflowError) as exc:
        raise Refused({"message": f"invalid time {text}"}) from exc
