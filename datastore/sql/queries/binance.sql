-- name: newest
-- The newest trades before stop that have ids of the venue's, in order, with the numbers that it gave to them.
select trade_id, first_id, last_id, us, price::text, amount::text, quote, side
  from (select t.trade_id, t.first_id, t.last_id, (extract(epoch from t.ts) * 1000000)::bigint as us, trim_scale(t.price) as price,
               trim_scale(t.amount) as amount, trim_scale(t.price * t.amount)::text as quote, t.side
          from tick t
         where t.market_id = %(market)s and t.first_id is not null and t.ts < %(stop)s
         order by t.ts desc, t.first_id desc
         limit %(limit)s) page
 order by us, first_id;

-- name: onward
-- The oldest trades of [start, stop) that have ids, none before a number: the venue's own of an aggregate, or of a trade.
select trade_id, first_id, last_id, us, price::text, amount::text, quote, side
  from (select t.trade_id, t.first_id, t.last_id, (extract(epoch from t.ts) * 1000000)::bigint as us, trim_scale(t.price) as price,
               trim_scale(t.amount) as amount, trim_scale(t.price * t.amount)::text as quote, t.side
          from tick t
         where t.market_id = %(market)s and t.first_id is not null and t.ts >= %(start)s and t.ts < %(stop)s
           and (%(from)s::numeric is null or t.first_id >= %(from)s::numeric
                or (t.trade_id ~ '^[0-9]{1,18}$' and t.trade_id::numeric >= %(from)s::numeric))
         order by t.ts, t.first_id
         limit %(limit)s) page
 order by us, first_id;

-- name: around
-- The first trade with an id at a time or later: its time and the number by which it is counted.
select t.ts, case when t.trade_id ~ '^[0-9]{1,18}$' then t.trade_id::bigint else t.first_id end
  from tick t
 where t.market_id = %(market)s and t.first_id is not null and t.ts >= %(at)s
 order by t.ts
 limit 1;

-- name: bounds
-- From when until when trades with ids are stored; NULL without any. And whether some of the newest stand for several.
select (select min(r.since) from id_range r where r.market_id = %(market)s and not r.doubted),
       (select max(r.until) from id_range r where r.market_id = %(market)s and not r.doubted);

-- name: candle_ids
-- The ids of the first and the last trade of [start, stop), if none of its trades was deleted by retention.
select (select t.first_id from tick t
         where t.market_id = m.id and t.ts >= %(start)s and t.ts < %(stop)s
         order by t.ts, t.first_id limit 1),
       (select t.last_id from tick t
         where t.market_id = m.id and t.ts >= %(start)s and t.ts < %(stop)s
         order by t.ts desc, t.last_id desc limit 1)
  from market m
 where m.id = %(market)s and (m.ticks_from is null or m.ticks_from <= %(start)s)
union all
select null, null from market m where m.id = %(market)s and m.ticks_from > %(start)s;

-- name: last_id
-- The newest trade that has an id: when it was traded, and the id.
select t.ts, t.last_id from tick t
 where t.market_id = %(market)s and t.first_id is not null
 order by t.ts desc, t.last_id desc limit 1;

-- name: since_id
-- Trades with greater ids than one, traded not long before it or later, in the order of their ids.
select t.trade_id, t.first_id, t.last_id, (extract(epoch from t.ts) * 1000000)::bigint, trim_scale(t.price)::text,
       trim_scale(t.amount)::text, trim_scale(t.price * t.amount)::text, t.side
  from tick t
 where t.market_id = %(market)s and t.ts >= %(since)s and t.first_id > %(id)s
 order by t.first_id
 limit %(limit)s;
