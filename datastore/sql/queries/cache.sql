-- name: newest
-- Of these markets, what a reader compares (series, version, served watermark and provider's time in ms) and the newest
-- candle of each base resolution.
select h.symbol, h.series, h.version, h.watermark / 1000, h.now / 1000,
       coalesce(json_object_agg(c.resolution, json_build_array(
           (extract(epoch from c.open_time) * 1000)::bigint, c.open::text, c.high::text, c.low::text, c.close::text,
           c.volume::text, c.quote_volume::text, c.trades, c.revision)) filter (where c.resolution is not null), '{}')::text
  from market_heads(%(ids)s::int[], %(stale)s) h
  left join lateral (
       select n.*
         from (values (60), (3600), (86400)) as r (resolution)
        cross join lateral (
              select * from candle k
               where k.market_id = h.market_id and k.resolution = r.resolution and k.trades > 0
               order by k.open_time desc limit 1) n) c on true
 group by h.symbol, h.series, h.version, h.watermark, h.now;

-- name: fed_heads
-- The same without candles, of every market whose feed we take, as reference/markets.py has it: found in the same statement, for it is
-- asked every second.
select symbol, series, version, watermark / 1000, now / 1000, ''
  from market_heads(array(select m.id from market m
                           where m.followed or m.id in (select t.market_id from dynamic_topic t where t.state = any (%(alive)s::text[]))),
                    %(stale)s);
