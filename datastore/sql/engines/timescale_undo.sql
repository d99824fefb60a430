-- The trades as a plain table again, with the names that its migration gave; the aggregates go.
drop view aggregate_candle;
drop materialized view aggregate_1d;
drop materialized view aggregate_1h;
drop materialized view aggregate_1m;
create table plain_tick (like tick including all excluding indexes);
insert into plain_tick select * from tick;
drop table tick;
alter table plain_tick rename to tick;
create index tick_market_ts on tick (market_id, ts);
