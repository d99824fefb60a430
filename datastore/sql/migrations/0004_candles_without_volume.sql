-- Functions that a database of a development version holds without a mark, and that return or take something else now:
-- they are made again after `migrate`.
drop function if exists ingest(int[], int[], bigint[], bigint[], smallint[], text[], numeric[], numeric[], bigint[]);
drop function if exists settle(int[], int[], jsonb, jsonb, interval);
