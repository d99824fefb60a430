-- These return the market's provider too from now on, and are made again after every migrate.
drop function if exists series_facts(int, interval, timestamptz, timestamptz, interval, int);
drop function if exists series_head(int, interval);
drop function if exists market_heads(int[], interval);
