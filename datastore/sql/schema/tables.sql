-- Storage that Django's migrations cannot say, and the small functions of time that all others use.

-- Rows that every batch updates in place: room on the page keeps the updates out of the indexes.
alter table market set (fillfactor = 20);
alter table candle set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
alter table coverage set (fillfactor = 50);
alter table feed_position set (fillfactor = 50);

-- Microseconds since 1970, exact: numeric inside, never a float.
create function micros(t timestamptz) returns bigint language sql stable strict parallel safe
return (extract(epoch from t) * 1000000)::bigint;

-- The time of such microseconds; whole numbers below 2^53 survive the multiplication unchanged.
create function instant(us bigint) returns timestamptz language sql stable strict parallel safe
return timestamptz '1970-01-01 00:00:00+00' + us * interval '1 microsecond';

-- The bucket that holds t: seconds of the timeframe (weeks begin on Monday), or 0 for calendar months in UTC.
-- Not strict, so that the planner can inline it.
create function bucket(seconds int, t timestamptz) returns timestamptz language sql stable parallel safe
return case when seconds = 0 then date_trunc('month', t, 'UTC')
            else date_bin(make_interval(secs => seconds), t, timestamptz '2000-01-03 00:00:00+00') end;
