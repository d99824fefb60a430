-- name: delete_slice
-- Delete the oldest trades of a market from `since` on and before `bound`; how many, and the time of the newest of them.
-- The next slice begins there: what lies before is only the index's memory of trades that are gone.
with oldest as materialized (
    select t.ctid as place from tick t
     where t.market_id = %(market)s and t.ts >= %(since)s and t.ts < %(bound)s
     order by t.ts
     limit %(trades)s
), gone as (
    delete from tick where ctid = any (array(select place from oldest)) returning ts
)
select count(*), max(ts) from gone;

-- name: delete_repeats
-- Delete trades that are stored more than once, but for the first of each. Only a write past the function `ingest`, as
-- by hand, makes any.
delete from tick
 where ctid = any (array(
       select x.place
         from (select t.ctid as place, row_number() over (partition by t.ts, t.trade_id order by t.ctid) as n
                 from tick t where t.market_id = %(market)s and t.ts >= %(start)s and t.ts < %(stop)s) x
        where x.n > 1));
