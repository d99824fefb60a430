-- The functions that were made after `migrate` read these tables, so they are dropped before them. Each is marked by a
-- comment that begins with the name of their folder.
do $$
declare
    ours text := (select string_agg(p.oid::regprocedure::text, ', ')
                    from pg_proc p
                   where p.pronamespace = current_schema()::regnamespace
                     and obj_description(p.oid, 'pg_proc') like 'datastore/sql/functions %');
begin
    if ours is not null then
        execute 'drop function ' || ours;
    end if;
end $$;
