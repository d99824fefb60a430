"""A generated year of minutes: the provider's, with live ones at its end, written straight into the tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection

from datastore.models import Market
from datastore.reference.markets import ensure_markets
from datastore.reference.provider import current_provider, remember_provider
from datastore.reference.provider_clock import save_clock

YEAR_MINUTES = 525_600
LIVE_MINUTES = 2 * 1440  # at its end

INSERT_PROVIDER_CANDLES = """
insert into provider_candle (market_id, resolution, open_time,
       open, high, low, close, volume, quote_volume, version, revision)
select %(market)s, %(resolution)s, t, trim_scale(p), trim_scale(p + 12.5), trim_scale(p - 9.25),
       trim_scale(p + w / 100.0), trim_scale(v), trim_scale(v * p), 1, 0
  from (select t, 60000 + sum(w) over (order by t) / 100.0 as p, w, (random() * 1e8)::bigint / 1e8::numeric as v
          from (select t, (random() * 400 - 200)::int as w
                  from generate_series(%(start)s, %(stop)s - interval '1 second',
                                       make_interval(secs => %(resolution)s)) t) x) y
 where v > 0
"""
INSERT_LIVE_CANDLES = """
insert into candle (market_id, resolution, open_time,
       open, high, low, close, volume, quote_volume, trades, version, revision)
select market_id, resolution, open_time, trim_scale(open), trim_scale(high), trim_scale(low), trim_scale(close),
       trim_scale(volume), trim_scale(quote_volume), 17, 1, 0
  from provider_candle where market_id = %(market)s and resolution = %(resolution)s and open_time >= %(start)s
"""
INSERT_COVERAGE = """
insert into coverage (market_id, source, feed, resolution, start, stop, version) values (%s, %s, %s, %s, %s, %s, 1)
"""


def make_year(symbol: str, minutes: int = YEAR_MINUTES) -> Market:
    """Fill a market up to now: the provider's minutes, hours and days, and live ones in the last two days."""
    (market,) = ensure_markets([symbol])
    if not current_provider()[0]:
        remember_provider("cryptocompare", "benchmark", True)
    now = datetime.now(UTC)
    save_clock("cryptocompare", timedelta(0), now - timedelta(minutes=1))
    minute = now.replace(second=0, microsecond=0)
    start, live = minute - timedelta(minutes=minutes), minute - timedelta(minutes=LIVE_MINUTES)
    with connection.cursor() as cursor:
        for resolution in (60, 3600, 86400):
            length = timedelta(seconds=resolution)
            low = start - (start - datetime(2000, 1, 1, tzinfo=UTC)) % length
            high = minute - (minute - datetime(2000, 1, 1, tzinfo=UTC)) % length
            values = {"market": market.pk, "resolution": resolution, "start": low, "stop": high}
            cursor.execute(INSERT_PROVIDER_CANDLES, values)
            cursor.execute(INSERT_LIVE_CANDLES, {**values, "start": live})
            cursor.execute(INSERT_COVERAGE, [market.pk, "provider", "", resolution, low, high])
        cursor.execute(INSERT_COVERAGE, [market.pk, "live", "tick-data/benchmark", 0, live, now])
        cursor.execute("update market set live_stop = %s, watermark = %s where id = %s", [now, now, market.pk])
        cursor.execute("vacuum analyze provider_candle, candle, coverage")
    return market
