-- The SQL functions of this schema, and the comment that marks those of datastore/sql/functions.

-- name: lock
select pg_advisory_xact_lock(hashtext('functions'));

-- name: found
-- `made`: the transaction that made or last replaced it.
select p.oid, p.xmin::text as made, coalesce(d.description, '') as comment
  from pg_proc p
  left join pg_description d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass and d.objsubid = 0
 where p.pronamespace = current_schema()::regnamespace;

-- name: like
select array_agg(to_regprocedure(x)::oid) filter (where to_regprocedure(x) is not null) from unnest(%(signatures)s::text[]) x;

-- name: mark
select string_agg(format('comment on function %%s is %%L', oid::regprocedure, %(mark)s), ';')
  from unnest(%(oids)s::oid[]) oid;

-- name: drop
-- In one statement, for some are made of others. NULL where none of them is there.
select 'drop function ' || string_agg(oid::regprocedure::text, ', ') from pg_proc where oid = any (%(oids)s::oid[]);
