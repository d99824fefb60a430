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
