drop function series_coverage(int, timestamptz, timestamptz, int);
drop function series_head(int, interval);
