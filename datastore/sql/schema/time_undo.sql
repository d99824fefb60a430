drop function market_watermark(timestamptz, timestamptz, timestamptz, interval);
drop function behind_since(int, text, timestamptz);
drop function provider_now();
drop function provider_time_known();
