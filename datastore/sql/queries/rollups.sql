-- name: standing
-- Whether the aggregates exist, and what the server offers, asked so that nothing can fail: undefined settings are null.
-- The edition (license) is known only if the extension's own library is loaded.
select to_regclass('aggregate_candle') is not null, current_setting('timescaledb.max_background_workers', true) is not null,
       current_setting('timescaledb.license', true),
       coalesce((select extversion from pg_extension where extname = 'timescaledb'),
                (select default_version from pg_available_extensions where name = 'timescaledb'));

-- name: refresh
-- Without batches this is one transaction, so no reader sees half of it.
call refresh_continuous_aggregate(%(aggregate)s::regclass, %(start)s::timestamptz, %(stop)s::timestamptz,
                                  force => %(anew)s::boolean, options => '{"buckets_per_batch": 0}');

-- name: oldest_chunk
select min(range_start) from timescaledb_information.chunks
 where hypertable_schema = current_schema() and hypertable_name = 'tick';

-- name: unlike
-- Candles of one market that differ from the aggregates, from `start` on, each resolution up to its own end.
with level as (
    select * from unnest(%(resolutions)s::int[], %(ends)s::timestamptz[]) r (resolution, until)
), stored as (
    select c.resolution, c.open_time, array[c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades]::text[] as numbers
      from level l
      join candle c on c.market_id = %(market)s and c.resolution = l.resolution
       and c.open_time >= %(start)s and c.open_time < l.until and c.trades > 0
), made as (
    select a.resolution, a.open_time, array[a.open, a.high, a.low, a.close, a.volume, a.quote_volume, a.trades]::text[] as numbers
      from level l
      join aggregate_candle a on a.market_id = %(market)s and a.resolution = l.resolution
       and a.open_time >= %(start)s and a.open_time < l.until
)
select coalesce(s.resolution, m.resolution), coalesce(s.open_time, m.open_time), s.numbers, m.numbers
  from stored s
  full join made m on m.resolution = s.resolution and m.open_time = s.open_time
 where s.numbers is distinct from m.numbers
 order by 1, 2;

-- name: packable
-- Chunks that ended before a time, and whether they are in the columnstore; one that got late trades since is in part.
select format('%%I.%%I', chunk_schema, chunk_name), is_compressed from timescaledb_information.chunks
 where hypertable_schema = current_schema() and hypertable_name = 'tick' and range_end <= %(before)s
 order by range_start;

-- name: pack
select compress_chunk(%(chunk)s::regclass, if_not_compressed => true);

-- name: impatient
-- A statement that waits for a lock makes all later ones wait behind it.
set local lock_timeout = '3s';

-- name: old_trades
select m.symbol, count(*) from tick t join market m on m.id = t.market_id where t.ts < %(bound)s group by m.symbol order by m.symbol;

-- name: lock_all
select id from market order by id for no key update;

-- name: forget
update market set ticks_from = %(bound)s where ticks_from is null or ticks_from < %(bound)s;

-- name: drop_chunks
select drop_chunks('tick', older_than => %(bound)s::timestamptz);
