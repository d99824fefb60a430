-- These take or return something else from now on; they are made again after every migrate.
drop function if exists store_provider_candles(int[], int[], bigint[], numeric[], numeric[], numeric[], numeric[], numeric[], numeric[]);
drop function if exists stored_texts(int, text, text, text, boolean, bigint[], bigint[], int[], boolean[], int[], text[], boolean[]);
drop function if exists bucket_texts(int, int, text, text, text, boolean, bigint[], bigint[], int[], boolean[], int[], text[], boolean[]);
drop function if exists leaf_rows(int, bigint[], bigint[], int[], boolean[], int[]);
