drop function series_buckets(int, int, bigint[], bigint[], int[], boolean[], text[], boolean[]);
drop function series_rows(int, bigint[], bigint[], int[], boolean[], text[], boolean[]);
drop function series_coverage(int, timestamptz, timestamptz, int);
drop function series_head(int, interval);
