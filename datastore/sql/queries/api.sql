-- name: markets
-- All markets, or the named one, with their oldest and newest data: a few index probes each, no scan.
select m.symbol, m.exchange, m.base, m.quote, m.followed, m.version,
       floor(extract(epoch from market_watermark(
           m.provider, m.watermark, m.live_stop, behind_since(m.id, m.symbol, m.live_stop), %(stale)s)) * 1000)::bigint,
       floor(extract(epoch from m.live_stop) * 1000)::bigint,
       floor(extract(epoch from provider_now(m.provider) - m.live_stop) * 1000)::bigint,
       floor(extract(epoch from oldest.open_time) * 1000)::bigint,
       floor(extract(epoch from newest.open_time) * 1000)::bigint,
       newest.close::text,
       exists (select from feed_position f where f.market_id = m.id and f.start is not null),
       m.refusal, floor(extract(epoch from m.refused_since) * 1000)::bigint, live_proof(m.id, m.live_stop)
  from market m
  left join lateral (
       select min(o.open_time) as open_time
         from (values ('candle', 60), ('provider', 60), ('provider', 3600), ('provider', 86400)) as r (source, resolution)
        cross join lateral (
              (select c.open_time from candle c
                where r.source = 'candle' and c.market_id = m.id and c.resolution = r.resolution and c.trades > 0
                order by c.open_time limit 1)
              union all
              (select p.open_time from provider_candle p
                where r.source = 'provider' and p.market_id = m.id and p.resolution = r.resolution
                order by p.open_time limit 1)) o) oldest on true
  left join lateral (
       select c.open_time, c.close
         from candle c
        where c.market_id = m.id and c.resolution = 60 and c.trades > 0
        order by c.open_time desc limit 1) newest on true
 where %(symbol)s::text is null or m.symbol = %(symbol)s::text
 order by m.symbol;

-- name: trades_onward
-- Trades of [start, stop) in order, after the one that the cursor names; seq compares nulls last as (is null, value).
select us / 1000, us, trade_id, seq, case side when 1 then 'buy' when -1 then 'sell' end, price::text, amount::text,
       floor(extract(epoch from received_at) * 1000)::bigint
  from (select t.*, (extract(epoch from t.ts) * 1000000)::bigint as us
          from tick t
         where t.market_id = %(market)s and t.ts >= %(start)s and t.ts < %(stop)s
           and (%(id)s::text is null
                or (t.ts, t.seq is null, coalesce(t.seq, 0), t.trade_id)
                   > (%(start)s, %(seq)s::bigint is null, coalesce(%(seq)s::bigint, 0), %(id)s::text))
         order by t.ts, t.seq nulls last, t.trade_id
         limit %(limit)s) page
 order by ts, seq nulls last, trade_id;

-- name: trades_newest
-- The newest trades before stop, in order.
select us / 1000, us, trade_id, seq, case side when 1 then 'buy' when -1 then 'sell' end, price::text, amount::text,
       floor(extract(epoch from received_at) * 1000)::bigint
  from (select t.*, (extract(epoch from t.ts) * 1000000)::bigint as us
          from tick t
         where t.market_id = %(market)s and t.ts < %(stop)s
         order by t.ts desc, t.seq desc nulls first, t.trade_id desc
         limit %(limit)s) page
 order by ts, seq nulls last, trade_id
