-- name: heads
-- What is known of many markets, and whether a feed of theirs has an open span; times in microseconds.
select h.market_id, h.symbol, h.followed, h.watermark, h.now, h.known, h.behind, h.live_stop,
       exists (select from feed_position f where f.market_id = h.market_id and f.start is not null), h.delivered_by
  from market_heads(%(ids)s::int[], %(stale)s) h
 order by h.symbol;

-- name: coverage
-- Proven spans of many markets at minute resolution, each market within its own window.
select c.market_id, c.resolution, micros(c.start), micros(c.stop)
  from unnest(%(ids)s::int[], %(starts)s::bigint[], %(stops)s::bigint[]) w (market_id, start, stop)
  join coverage c on c.market_id = w.market_id and c.start < instant(w.stop) and c.stop > instant(w.start)
 where c.source = 'live' and c.resolution = 0 or c.source = 'provider' and c.resolution = 60;

-- name: figures
-- The parts (intervals of one stored series each) of many markets, aggregated into one row per market. First and last
-- price are index probes of each part: sorting a day of minutes costs more than summing them.
with part as (
    select p.market_id, p.start, x.*
      from unnest(%(markets)s::int[], %(starts)s::bigint[], %(stops)s::bigint[], %(resolutions)s::int[], %(provider)s::boolean[])
           p (market_id, start, stop, resolution, provider)
     cross join lateral (
           select a.*,
                  (select c.open from candle c
                    where c.market_id = p.market_id and c.resolution = p.resolution and c.open_time >= instant(p.start)
                      and c.open_time < instant(p.stop) and c.trades > 0 order by c.open_time limit 1) as open,
                  (select c.close from candle c
                    where c.market_id = p.market_id and c.resolution = p.resolution and c.open_time >= instant(p.start)
                      and c.open_time < instant(p.stop) and c.trades > 0 order by c.open_time desc limit 1) as close
             from (select max(c.high) as high, min(c.low) as low, sum(c.volume) as volume, sum(c.quote_volume) as quote_volume,
                          sum(c.trades) as trades, count(*) as n
                     from candle c
                    where c.market_id = p.market_id and c.resolution = p.resolution and c.open_time >= instant(p.start)
                      and c.open_time < instant(p.stop) and c.trades > 0) a
            where not p.provider
           union all
           select a.*,
                  (select served_open(c.open, c.high, c.low, c.close, false) from provider_candle c
                    where c.market_id = p.market_id and c.resolution = p.resolution and c.open_time >= instant(p.start)
                      and c.open_time < instant(p.stop) order by c.open_time limit 1),
                  (select c.close from provider_candle c
                    where c.market_id = p.market_id and c.resolution = p.resolution and c.open_time >= instant(p.start)
                      and c.open_time < instant(p.stop) order by c.open_time desc limit 1)
             from (select max(served_high(c.high, c.close, false)), min(served_low(c.low, c.close, false)), sum(c.volume),
                          case when count(c.quote_volume) = count(*) then sum(c.quote_volume) end, null::bigint, count(*)
                     from provider_candle c
                    where c.market_id = p.market_id and c.resolution = p.resolution and c.open_time >= instant(p.start)
                      and c.open_time < instant(p.stop)) a
            where p.provider) x
     where x.n > 0
), whole as (
    select market_id, (array_agg(open order by start))[1] as open, max(high) as high, min(low) as low,
           (array_agg(close order by start desc))[1] as close, sum(volume) as volume,
           case when count(quote_volume) = count(*) then sum(quote_volume) end as quote_volume,
           case when count(trades) = count(*) then sum(trades)::int end as trades
      from part
     group by market_id
)
select market_id, trim_scale(open)::text, trim_scale(high)::text, trim_scale(low)::text, trim_scale(close)::text,
       trim_scale(volume)::text, trim_scale(quote_volume)::text, trades, trim_scale(close - open)::text,
       round(100 * (close - open) / nullif(open, 0), 4)::text
  from whole;

-- name: last
-- The newest stored price of many markets, however old, and the time of their newest stored trade.
select w.market_id, newest.close, (select micros(t.ts) from tick t where t.market_id = w.market_id order by t.ts desc limit 1)
  from unnest(%(ids)s::int[]) w (market_id)
  left join lateral (
       (select c.close::text, c.open_time + interval '1 minute' as until
          from candle c
         where c.market_id = w.market_id and c.resolution = 60 and c.trades > 0
         order by c.open_time desc limit 1)
       union all
       (select trim_scale(p.close)::text, p.open_time + make_interval(secs => r.resolution)
          from (values (60), (3600), (86400)) r (resolution)
         cross join lateral (
               select * from provider_candle q
                where q.market_id = w.market_id and q.resolution = r.resolution
                order by q.open_time desc limit 1) p)
       order by until desc limit 1) newest on true;
