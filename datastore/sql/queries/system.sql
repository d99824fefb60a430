-- name: database
-- The server's version and the size of this database in bytes.
select current_setting('server_version'), pg_database_size(current_database());

-- name: tables
-- The largest tables: name, rows as last counted by (auto)analyze (null: never), bytes with indexes and what is stored
-- out of line. The chunks of a hypertable inherit from it, and count as one table with it.
select t.relname, sum(case when c.reltuples >= 0 then c.reltuples end)::bigint, sum(pg_total_relation_size(c.oid))::bigint
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_inherits i on i.inhrelid = c.oid
  join pg_class t on t.oid = coalesce(i.inhparent, c.oid)
 where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema')
 group by t.oid, t.relname
 order by 3 desc
 limit %(limit)s;

-- name: arrivals
-- What arrived within the last day: trades, minutes with a candle, and seconds since the first of these minutes; and
-- seconds since the oldest stored trade. One range of the primary key for each market, and one look for its oldest trade.
select coalesce(sum(d.trades), 0)::bigint, coalesce(sum(d.minutes), 0)::bigint,
       extract(epoch from statement_timestamp() - min(d.first))::float,
       extract(epoch from statement_timestamp() - min(o.ts))::float
  from market m
  left join lateral (select t.ts from tick t where t.market_id = m.id order by t.ts limit 1) o on true
 cross join lateral (
       select sum(c.trades) as trades, count(*) as minutes, min(c.open_time) as first
         from candle c
        where c.market_id = m.id and c.resolution = 60 and c.open_time > statement_timestamp() - interval '1 day') d;

-- name: sizes
-- Rows as last counted, and bytes, of the tables of trades and candles.
select c.relname, c.reltuples::bigint, pg_total_relation_size(c.oid)
  from pg_class c
 where c.oid in ('tick'::regclass, 'candle'::regclass);

-- name: running
-- Statements of this database that have run for over a second: since when, by which application, and their text.
select a.query_start, a.application_name, left(a.query, 300)
  from pg_stat_activity a
 where a.datname = current_database() and a.state = 'active' and a.pid <> pg_backend_pid()
   and a.query_start < clock_timestamp() - interval '1 second'
 order by a.query_start
 limit 20;

-- name: has_statistics
-- Whether the extension pg_stat_statements exists in this database.
select exists (select from pg_extension where extname = 'pg_stat_statements');

-- name: slow
-- The statements on which this database spent the most time: calls, total and mean milliseconds, text.
select s.calls, s.total_exec_time, s.mean_exec_time, left(s.query, 300)
  from pg_stat_statements s
  join pg_database d on d.oid = s.dbid
 where d.datname = current_database()
 order by s.total_exec_time desc
 limit 10;
