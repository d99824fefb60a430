-- The trades as a hypertable with a columnstore, and beside the candles a chain of continuous aggregates over them.
-- One transaction makes all of it; the aggregates are empty until their first refresh.

-- A hypertable keeps the key that plain tables have no index for: packed chunks take little of either.
drop index if exists tick_market_ts;
alter table tick drop constraint if exists tick_pkey;
alter table tick add constraint tick_pkey primary key (market_id, ts, trade_id);
-- A chunk a day: retention and verification go by whole UTC days. The key's index serves every read; the one on ts
-- alone that would be made by itself costs a third of the write.
select create_hypertable('tick', by_range('ts', interval '1 day'), create_default_indexes => false, migrate_data => true);
alter table tick set (timescaledb.compress, timescaledb.compress_segmentby = 'market_id', timescaledb.compress_orderby = 'ts, trade_id');

-- Never in real time: only what was refreshed is proof. Ordered arrays, for first() and last() break ties by chance.
create materialized view aggregate_1m with (timescaledb.continuous, timescaledb.materialized_only = true) as
select market_id, time_bucket('1 minute', ts) as open_time, (array_agg(price order by ts, seq nulls last, trade_id))[1] as open,
       max(price) as high, min(price) as low, (array_agg(price order by ts, seq nulls last, trade_id))[count(*)] as close,
       sum(amount) as volume, sum(price * amount) as quote_volume, count(*)::int as trades
  from tick
 group by 1, 2
  with no data;

create materialized view aggregate_1h with (timescaledb.continuous, timescaledb.materialized_only = true) as
select market_id, time_bucket('1 hour', b.open_time) as open_time, first(open, b.open_time) as open, max(high) as high,
       min(low) as low, last(close, b.open_time) as close, sum(volume) as volume, sum(quote_volume) as quote_volume,
       sum(trades)::int as trades
  from aggregate_1m b
 group by 1, time_bucket('1 hour', b.open_time)
  with no data;

create materialized view aggregate_1d with (timescaledb.continuous, timescaledb.materialized_only = true) as
select market_id, time_bucket('1 day', b.open_time) as open_time, first(open, b.open_time) as open, max(high) as high,
       min(low) as low, last(close, b.open_time) as close, sum(volume) as volume, sum(quote_volume) as quote_volume,
       sum(trades)::int as trades
  from aggregate_1h b
 group by 1, time_bucket('1 day', b.open_time)
  with no data;

-- For people and dashboards. That it is there is also how we know that a database was turned.
create view aggregate_candle as
select m.symbol as market, a.market_id, a.resolution, a.open_time, trim_scale(a.open) as open, trim_scale(a.high) as high,
       trim_scale(a.low) as low, trim_scale(a.close) as close, trim_scale(a.volume) as volume,
       trim_scale(a.quote_volume) as quote_volume, a.trades
  from (select 60 as resolution, * from aggregate_1m
        union all
        select 3600, * from aggregate_1h
        union all
        select 86400, * from aggregate_1d) a
  join market m on m.id = a.market_id;
