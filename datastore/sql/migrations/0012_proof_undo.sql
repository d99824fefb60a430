-- The same functions as they are now: those of the version before are made by its own `migrate`.
drop function if exists lock_markets(text[], text[], text[], interval);
drop function if exists ingest(int[], int[], bigint[], bigint[], smallint[], text[], numeric[], numeric[], bigint[], bigint[], bigint[]);
drop function if exists cancel(int, timestamptz, text, interval);
drop function if exists series_facts(int, interval, timestamptz, timestamptz, interval, int);
drop function if exists series_coverage(int, timestamptz, timestamptz, int);
drop function if exists doubt_ids(int, bigint, bigint, timestamptz, interval);
drop function if exists take_out_ids(int, bigint, bigint, timestamptz, timestamptz, boolean);
