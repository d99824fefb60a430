-- The same functions as they are now: those of the version before are made by its own `migrate`. It knows one provider.
drop function if exists series_facts(int, interval, timestamptz, timestamptz, interval, int);
drop function if exists series_head(int, interval);
drop function if exists market_heads(int[], interval);
drop function if exists market_watermark(text, timestamptz, timestamptz, timestamptz, interval);
drop function if exists provider_now();
drop function if exists provider_now(text);
drop function if exists provider_time_known(text);
drop function if exists provider_times();
delete from provider_clock where provider <> 'cryptocompare';
update provider_clock set provider = identity;
