drop function if exists market_watermark(timestamptz, timestamptz, timestamptz, interval);
drop function if exists provider_now();
drop function if exists keep_steady_time();
drop function if exists steady_now();
