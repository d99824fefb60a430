-- name: heads
-- What is known of many markets, and how their feeds stand; times in microseconds.
select h.market_id, h.symbol, h.followed, h.watermark, h.now, h.known, h.behind, h.live_stop,
       exists (select from feed_position f where f.market_id = h.market_id and f.start is not null)
  from market_heads(%(ids)s::int[], %(stale)s) h
 order by h.symbol;

-- name: coverage
-- Proven spans of many markets at the resolution of minutes, each within its own window.
select c.market_id, c.resolution, micros(c.start), micros(c.stop)
  from unnest(%(ids)s::int[], %(starts)s::bigint[], %(stops)s::bigint[]) w (market_id, start, stop)
  join coverage c on c.market_id = w.market_id and c.start < instant(w.stop) and c.stop > instant(w.start)
 where c.source = 'live' and c.resolution = 0 or c.source = 'provider' and c.resolution = 60;

-- name: figures
-- The parts (stretches of one stored series each) of many markets, every market's aggregated into one row.
select s.market_id, s.open::text, s.high::text, s.low::text, s.close::text, s.volume::text, s.quote_volume::text, s.trades,
       trim_scale(s.close - s.open)::text, round(100 * (s.close - s.open) / nullif(s.open, 0), 4)::text
  from (select p.market_id, (array_agg(x.open order by x.open_time))[1] as open, max(x.high) as high, min(x.low) as low,
               (array_agg(x.close order by x.open_time desc))[1] as close, trim_scale(sum(x.volume)) as volume,
               trim_scale(sum(x.quote_volume)) as quote_volume,
               case when count(x.trades) = count(*) then sum(x.trades)::int end as trades
          from unnest(%(markets)s::int[], %(starts)s::bigint[], %(stops)s::bigint[], %(resolutions)s::int[], %(provider)s::boolean[])
               p (market_id, start, stop, resolution, provider)
         cross join lateral (
               select c.open_time, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades
                 from candle c
                where not p.provider and c.market_id = p.market_id and c.resolution = p.resolution
                  and c.open_time >= instant(p.start) and c.open_time < instant(p.stop) and c.trades > 0
               union all
               select c.open_time, trim_scale(c.open), trim_scale(c.high), trim_scale(c.low), trim_scale(c.close),
                      c.volume, c.quote_volume, null
                 from provider_candle c
                where p.provider and c.market_id = p.market_id and c.resolution = p.resolution
                  and c.open_time >= instant(p.start) and c.open_time < instant(p.stop)) x
         group by p.market_id) s;

-- name: last
-- The newest price that is stored of many markets, whenever that was, and the time of the newest trade that is.
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
