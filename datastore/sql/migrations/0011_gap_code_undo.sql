-- The same functions as they are now: those of the version before are made by its own `migrate`.
drop function if exists series_facts(int, interval, timestamptz, timestamptz, interval, int);
drop function if exists series_coverage(int, timestamptz, timestamptz, int);
