drop function if exists add_to_candles(int[], timestamptz[], numeric[], numeric[], numeric[], numeric[], int[]);
