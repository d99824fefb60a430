-- The clock of each provider has a row of its own from now on. These functions asked for the only one; they are made
-- again after every migrate.
drop function if exists series_facts(int, interval, timestamptz, timestamptz, interval, int);
drop function if exists series_head(int, interval);
drop function if exists market_heads(int[], interval);
drop function if exists market_watermark(timestamptz, timestamptz, timestamptz, interval);
drop function if exists provider_now();
drop function if exists provider_time_known();
