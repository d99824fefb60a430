-- The functions of the version before are made by its own `migrate`.
drop function if exists store_provider_candles(int[], int[], bigint[], numeric[], numeric[], numeric[], numeric[], numeric[], numeric[]);
drop function if exists stored_texts(int, boolean, text, text, text, boolean, bigint[], bigint[], int[], boolean[], int[], text[], boolean[]);
drop function if exists bucket_texts(int, boolean, int, text, text, text, boolean, bigint[], bigint[], int[], boolean[], int[], text[], boolean[]);
drop function if exists leaf_rows(int, boolean, bigint[], bigint[], int[], boolean[], int[]);
