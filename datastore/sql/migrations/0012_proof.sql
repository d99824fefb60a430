-- These take or return the ids of trades, or what a span rests on, from now on; they are made again after every migrate.
drop function if exists lock_markets(text[], text[], text[], interval);
drop function if exists ingest(int[], int[], bigint[], bigint[], smallint[], text[], numeric[], numeric[], bigint[]);
drop function if exists cancel(int, timestamptz, text);
drop function if exists series_facts(int, interval, timestamptz, timestamptz, interval, int);
drop function if exists series_coverage(int, timestamptz, timestamptz, int);
