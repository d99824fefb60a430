-- These read provider_clock.floor, which goes; they are made again after every migrate.
drop function if exists market_watermark(timestamptz, timestamptz, timestamptz, interval);
drop function if exists provider_now();
