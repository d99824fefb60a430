drop function bucket_texts(int, int, text, text, text, boolean, bigint[], bigint[], int[], boolean[], int[], text[], boolean[]);
drop function stored_texts(int, text, text, text, boolean, bigint[], bigint[], int[], boolean[], int[], text[], boolean[]);
drop function candle_text(text, text, timestamptz, numeric, numeric, numeric, numeric, numeric, numeric, int, text, boolean, int);
drop function leaf_rows(int, bigint[], bigint[], int[], boolean[], int[]);
drop function series_facts(int, interval, timestamptz, timestamptz, interval, int);
