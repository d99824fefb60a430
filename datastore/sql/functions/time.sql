-- Small functions of time that all others use.

-- Microseconds since 1970, exact: numeric inside, never a float.
create or replace function micros(t timestamptz) returns bigint language sql stable strict parallel safe
return (extract(epoch from t) * 1000000)::bigint;

-- The time of such microseconds; whole numbers below 2^53 survive the multiplication unchanged.
create or replace function instant(us bigint) returns timestamptz language sql stable strict parallel safe
return timestamptz '1970-01-01 00:00:00+00' + us * interval '1 microsecond';

-- The bucket that holds t: seconds of the timeframe (weeks begin on Monday), or 0 for calendar months in UTC.
-- Not strict, so that the planner can inline it.
create or replace function bucket(seconds int, t timestamptz) returns timestamptz language sql stable parallel safe
return case when seconds = 0 then date_trunc('month', t, 'UTC')
            else date_bin(make_interval(secs => seconds), t, timestamptz '2000-01-03 00:00:00+00') end;
