-- The same functions as they are now: those of the version before are made by its own `migrate`.
drop function if exists ingest(int[], int[], bigint[], bigint[], smallint[], text[], numeric[], numeric[], bigint[]);
drop function if exists settle(int[], int[], jsonb, jsonb, jsonb, interval);
