drop function digest(int);
drop function rebuild(int, timestamptz, timestamptz);
drop function cancel(int, timestamptz, text);
drop function renew(int, timestamptz[]);
drop function lock_market(int);
drop function ingest(int[], int[], bigint[], bigint[], smallint[], text[], numeric[], numeric[], bigint[]);
drop function add_to_minutes(int[], timestamptz[], numeric[], numeric[], numeric[], numeric[], int[]);
drop function reaggregate(int[], timestamptz[]);
drop function roll_up(int[], timestamptz[]);
