-- The trades as a plain table again, with the names that its migration gave; the aggregates go.
drop view aggregate_candle;
drop materialized view aggregate_1d;
drop materialized view aggregate_1h;
drop materialized view aggregate_1m;
create table plain_tick (like tick including all);
insert into plain_tick select * from tick;
drop table tick;
alter table plain_tick rename to tick;
alter index plain_tick_pkey rename to tick_pkey;
