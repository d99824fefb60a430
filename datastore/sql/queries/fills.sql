-- name: newest
-- The newest stored id of a market and when it was traded.
select r.last, r.until from id_range r where r.market_id = %(market)s and not r.doubted order by r.first desc limit 1;

-- name: stored
-- The stored trade whose ids begin with one, or end with one; the ends of ranges say when it was traded.
select t.trade_id, t.ts, t.first_id, t.last_id
  from (select r.until as ts, null::bigint as first, r.last from id_range r
         where r.market_id = %(market)s and r.last = %(last)s
        union all
        select r.since, r.first, null from id_range r where r.market_id = %(market)s and r.first = %(first)s) e
  join tick t on t.market_id = %(market)s and t.ts = e.ts and (t.first_id = e.first or t.last_id = e.last)
 limit 1
;

-- name: not_stored
-- Which ids up to one are neither stored nor in doubt: from a first one, or else behind the newest of those that were
-- traded before a time.
with asked as (
    select coalesce(%(first)s::bigint,
                    (select max(r.last) + 1 from id_range r where r.market_id = %(market)s and r.first <= %(last)s and r.until < %(since)s), 0) as first
)
select lower(x.ids), upper(x.ids) - 1
  from asked a
 cross join lateral (
       select unnest(int8multirange(int8range(a.first, greatest(a.first, %(last)s + 1)))
                     - coalesce((select range_agg(int8range(r.first, r.last, '[]')) from id_range r
                                  where r.market_id = %(market)s and r.last >= a.first and r.first <= %(last)s), '{}')) as ids) x
 order by 1;

-- name: oldest
-- The first stored id of a market that was traded since a time or later, and when; the time before it may be stored too.
select r.first, r.since from id_range r
 where r.market_id = %(market)s and not r.doubted and r.until >= %(since)s order by r.first limit 1;

-- name: pace
-- How many trades a second were made while ids are stored, and how many rows hold one trade.
select (select sum(r.last - r.first)::float8 / nullif(extract(epoch from sum(r.until - r.since)), 0)::float8
          from (select * from id_range i where i.market_id = %(market)s and not i.doubted order by i.first desc limit 1000) r),
       (select count(*)::float8 / nullif(sum(t.last_id - t.first_id + 1), 0)::float8
          from (select * from tick x where x.market_id = %(market)s order by x.ts desc limit 1000) t);

-- name: proven_by_ids
-- The spans of [start, stop) that ids prove.
select micros(greatest(c.start, %(start)s)), micros(least(c.stop, %(stop)s)) from coverage c
 where c.market_id = %(market)s and c.source = 'live' and c.resolution = 0 and c.proof = 'ids'
   and c.start < %(stop)s and c.stop > %(start)s
