drop function take_span(int, int, timestamptz, timestamptz, bigint[], bigint);
drop function cover_provider(int, int, timestamptz, timestamptz);
drop function store_provider_candles(int[], int[], bigint[], numeric[], numeric[], numeric[], numeric[], numeric[], numeric[]);
