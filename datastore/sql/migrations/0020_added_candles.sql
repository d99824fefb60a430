-- What a batch brings is added to hours and days as well, by add_to_candles; this one added to minutes alone.
drop function if exists add_to_minutes(int[], timestamptz[], numeric[], numeric[], numeric[], numeric[], int[]);
