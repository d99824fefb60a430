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
