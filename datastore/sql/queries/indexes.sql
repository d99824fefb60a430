-- Indexes that are built or packed beside writers: their state, their progress, their size.

-- name: invalid
-- Indexes of a table that a build left behind when it was ended.
select n.nspname, c.relname
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
 where i.indrelid = %(table)s::regclass and not i.indisvalid;

-- name: progress
-- How far the build of an index on a table is: its phase, and how much of that phase in percent (null: not known).
select p.phase, case when p.blocks_total > 0 then 100 * p.blocks_done / p.blocks_total
                     when p.tuples_total > 0 then 100 * p.tuples_done / p.tuples_total end::int
  from pg_stat_progress_create_index p
 where p.relid = %(table)s::regclass;

-- name: size
-- Bytes of an index, rows of its table as last counted, and what was noted when it was packed (null: never).
select pg_relation_size(c.oid), greatest(t.reltuples, 0)::bigint, obj_description(c.oid, 'pg_class')
  from pg_class c
  join pg_index i on i.indexrelid = c.oid
  join pg_class t on t.oid = i.indrelid
 where c.oid = to_regclass(%(index)s);
