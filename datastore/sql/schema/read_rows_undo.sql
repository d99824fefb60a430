drop function series_buckets(int, int, bigint[], bigint[], int[], boolean[], text[], boolean[]);
drop function series_rows(int, bigint[], bigint[], int[], boolean[], text[], boolean[]);
