-- name: changed
-- Buckets of a timeframe (open time in ms) whose stored rows changed after a version, with the newest change and its
-- revision. At most `most` rows of each table are read; every row of the result holds how many were.
-- The provider's rows are stored before its answer is proven, perhaps by an earlier batch: until then no answer shows
-- them, and the change of the certificate that proves them is what changes them for readers.
with changed as (
    (select c.version, c.revision, c.open_time from candle c
      where c.market_id = %(market)s and c.version > %(since)s and c.resolution <= %(base)s
      order by c.version limit %(most)s)
    union all
    (select p.version, p.revision, p.open_time from provider_candle p
      where p.market_id = %(market)s and p.version > %(since)s and p.resolution <= %(base)s
        and exists (select from coverage v
                     where v.market_id = p.market_id and v.source = 'provider' and v.resolution = p.resolution
                       and v.start <= p.open_time and v.stop > p.open_time)
      order by p.version limit %(most)s)
)
select micros(bucket(%(seconds)s, open_time)) / 1000, max(version), max(revision), sum(count(*)) over ()
  from changed group by 1;

-- name: stretches
-- Intervals of the certificate (ms) that changed after a version and show in this timeframe.
select version, what, micros(start) / 1000, micros(stop) / 1000
  from coverage_change
 where market_id = %(market)s and version > %(since)s
   and case what when 'hole' then resolution = %(base)s else resolution <= %(base)s end
 order by version, start
 limit %(most)s;

-- name: held
-- Buckets in an interval (open times in ms) that have any stored row, also one without trades: all that a reader may know.
-- Of the provider's rows these are the proven ones; if the provider's answer itself is what changed, all.
select micros(b.start) / 1000
  from generate_series(bucket(%(seconds)s, instant(%(start)s)), instant(%(stop)s) - interval '1 microsecond',
                       case when %(seconds)s = 0 then interval '1 month' else make_interval(secs => %(seconds)s) end) b (start)
 cross join lateral (
       select b.start + case when %(seconds)s = 0 then interval '1 month' else make_interval(secs => %(seconds)s) end as stop) e
 where exists (select from candle c where c.market_id = %(market)s and c.resolution = %(base)s
                  and c.open_time >= b.start and c.open_time < e.stop)
    or exists (select from unnest(array[60, 3600, 86400]) r (resolution)
                 join lateral (
                      select from provider_candle p where p.market_id = %(market)s and p.resolution = r.resolution
                         and p.open_time >= b.start and p.open_time < e.stop
                         and (%(what)s = 'provider' or exists (
                              select from coverage v
                               where v.market_id = p.market_id and v.source = 'provider' and v.resolution = p.resolution
                                 and v.start <= p.open_time and v.stop > p.open_time)) limit 1) x on true
                where r.resolution <= %(base)s);

-- name: heads
-- The present watermark and provider's time (ms) of many markets: one cheap query for all that are followed.
select market_id, series, version, watermark / 1000, now / 1000 from market_heads(%(ids)s::int[], %(stale)s);
