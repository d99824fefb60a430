-- Gaps from before there were codes: of the final ones the kind is known. Safe to repeat.
update gap_repair set code = 'final' where final and code = 'other';
-- These return codes too from now on, and are made again after every migrate.
drop function if exists series_facts(int, interval, timestamptz, timestamptz, interval, int);
drop function if exists series_coverage(int, timestamptz, timestamptz, int);
