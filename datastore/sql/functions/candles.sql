-- Candles, made from stored trades. Every function here works under the lock of its markets.

-- Whether a change of this bucket is a correction (1) or not (0): it was over and proven by live feeds, an hour or a day
-- by the provider's finer candles too, so that readers took it for whole. `known_until`: the market's watermark before the change. Few buckets need a look at coverage.
create or replace function correction_count(for_market int, t timestamptz, seconds int, known_until timestamptz) returns int language plpgsql stable as $$
begin
    if known_until is null or t + make_interval(secs => seconds) > known_until then
        return 0;
    end if;
    return coalesce((select range_agg(tstzrange(c.start, c.stop)) @> tstzrange(t, t + make_interval(secs => seconds))
                       from coverage c
                      where c.market_id = for_market and (c.source = 'live' and c.resolution = 0
                                                  or c.source = 'provider' and c.resolution between 60 and seconds - 1)
                        and c.start < t + make_interval(secs => seconds) and c.stop > t), false)::int;
end $$;

-- Make the hours and days around the given minutes again; return the markets whose candles changed.
create or replace function roll_up(markets int[], minutes timestamptz[]) returns int[] language plpgsql as $$
#variable_conflict use_column
declare
    level int[];
    changed int[];
    touched int[] := '{}';
begin
    foreach level slice 1 in array array[[3600, 60], [86400, 3600]] loop
        with due as (
            select distinct u.m, bucket(level[1], u.t) as t from unnest(markets, minutes) u (m, t)
        ), written as (
            insert into candle as c (market_id, resolution, open_time, open, high, low, close, volume, quote_volume, trades, version, revision, corrections)
            select due.m, level[1], due.t, x.opens[1], x.high, x.low, x.closes[array_upper(x.closes, 1)],
                   coalesce(trim_scale(x.volume), 0), coalesce(trim_scale(x.quote_volume), 0), coalesce(x.n, 0), k.version + 1, 0,
                   correction_count(due.m, due.t, level[1], k.watermark)
              from due
              join market k on k.id = due.m
             cross join lateral (
                   select array_agg(open order by open_time) as opens, max(high) as high, min(low) as low,
                          array_agg(close order by open_time) as closes, sum(volume) as volume,
                          sum(quote_volume) as quote_volume, sum(trades)::int as n
                     from candle
                    where market_id = due.m and resolution = level[2] and trades > 0
                      and open_time >= due.t and open_time < due.t + make_interval(secs => level[1])) x
            on conflict (market_id, resolution, open_time) do update
               set open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
                   quote_volume = excluded.quote_volume, trades = excluded.trades, version = excluded.version, revision = c.revision + 1,
                   corrections = c.corrections + excluded.corrections
             where (c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades) is distinct from
                   (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.quote_volume, excluded.trades)
            returning market_id
        )
        select coalesce(array_agg(distinct market_id), '{}') into changed from written;
        touched := touched || changed;
    end loop;
    return touched;
end $$;

-- Make the given minutes again from their ticks, then the hours and days around them; return the markets whose candles
-- changed, each of which now holds rows of its next version (the caller raises it). Rows that come out as they were
-- are not touched. Minutes whose ticks retention has deleted are left alone: their candles are all that is left.
-- Where ticks lie in chunks, each is looked up in as many as [since, until) touches, not in all that there are.
create or replace function reaggregate(markets int[], minutes timestamptz[]) returns int[] language plpgsql as $$
#variable_conflict use_column
declare
    since timestamptz := (select min(x) from unnest(minutes) x);
    until timestamptz := (select max(x) + interval '1 minute' from unnest(minutes) x);
    touched int[];
begin
    with due as (
        select distinct u.m, u.t from unnest(markets, minutes) u (m, t)
    ), written as (
        insert into candle as c (market_id, resolution, open_time, open, high, low, close, volume, quote_volume, trades, version, revision, corrections)
        select due.m, 60, due.t, x.prices[1], x.high, x.low, x.prices[x.n],
               coalesce(trim_scale(x.volume), 0), coalesce(trim_scale(x.quote_volume), 0), x.n, k.version + 1, 0,
               correction_count(due.m, due.t, 60, k.watermark)
          from due
          join market k on k.id = due.m and (k.ticks_from is null or due.t >= k.ticks_from)
         cross join lateral (
               select array_agg(price order by ts, seq nulls last, trade_id) as prices, max(price) as high, min(price) as low,
                      sum(amount) as volume, sum(price * amount) as quote_volume, count(*)::int as n
                 from tick
                where market_id = due.m and ts >= due.t and ts < due.t + interval '1 minute' and ts >= since and ts < until) x
        on conflict (market_id, resolution, open_time) do update
           set open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
               quote_volume = excluded.quote_volume, trades = excluded.trades, version = excluded.version, revision = c.revision + 1,
               corrections = c.corrections + excluded.corrections
         where (c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades) is distinct from
               (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.quote_volume, excluded.trades)
        returning market_id
    )
    select coalesce(array_agg(distinct market_id), '{}') into touched from written;

    return touched || roll_up(markets, minutes);
end $$;

-- Add to the minutes what their new trades bring, already inserted, and to the hours and days around them; return the
-- markets whose candles changed. Sums, extremes and counts of exact numbers are the same whether added or made again; the
-- first and last trade of a minute, and the first and last minute of an hour or day, are one index probe each. So a batch
-- costs what it brings, not what the open buckets already hold; a rebuild finds nothing to change. [since, until) as for
-- reaggregate.
create or replace function add_to_candles(markets int[], minutes timestamptz[], highs numeric[], lows numeric[], volumes numeric[], quotes numeric[], counts int[])
returns int[] language plpgsql as $$
#variable_conflict use_column
declare
    since timestamptz := (select min(x) from unnest(minutes) x);
    until timestamptz := (select max(x) + interval '1 minute' from unnest(minutes) x);
    touched int[];
begin
    with written as (
        insert into candle as c (market_id, resolution, open_time, open, high, low, close, volume, quote_volume, trades, version, revision, corrections)
        select g.m, 60, g.t, first.price, g.high, g.low, last.price, trim_scale(g.volume), trim_scale(g.quote_volume), g.n, k.version + 1, 0,
               case when g.t + interval '1 minute' <= k.watermark then correction_count(g.m, g.t, 60, k.watermark) else 0 end -- a call costs more than this comparison
          from unnest(markets, minutes, highs, lows, volumes, quotes, counts) g (m, t, high, low, volume, quote_volume, n)
          join market k on k.id = g.m and (k.ticks_from is null or g.t >= k.ticks_from)
         cross join lateral (
               select price from tick
                where market_id = g.m and ts >= g.t and ts < g.t + interval '1 minute' and ts >= since and ts < until
                order by ts, seq nulls last, trade_id limit 1) first
         cross join lateral (
               select price from tick
                where market_id = g.m and ts >= g.t and ts < g.t + interval '1 minute' and ts >= since and ts < until
                order by ts desc, seq desc nulls first, trade_id desc limit 1) last
        on conflict (market_id, resolution, open_time) do update
           set open = excluded.open, close = excluded.close,
               -- The extremes of a candle whose trades were all cancelled are null, and count for nothing.
               high = greatest(c.high, excluded.high), low = least(c.low, excluded.low),
               volume = trim_scale(c.volume + excluded.volume), quote_volume = trim_scale(c.quote_volume + excluded.quote_volume),
               trades = c.trades + excluded.trades, version = excluded.version, revision = c.revision + 1,
               corrections = c.corrections + excluded.corrections
        returning market_id
    )
    select coalesce(array_agg(distinct market_id), '{}') into touched from written;

    with gain as (
        select k.id as m, k.version, k.watermark, r.seconds, bucket(r.seconds, u.t) as t, max(u.high) as high, min(u.low) as low,
               sum(u.volume) as volume, sum(u.quote_volume) as quote_volume, sum(u.n)::int as n
          from unnest(markets, minutes, highs, lows, volumes, quotes, counts) u (m, t, high, low, volume, quote_volume, n)
          join market k on k.id = u.m and (k.ticks_from is null or u.t >= k.ticks_from)
         cross join (values (3600), (86400)) r (seconds)
         group by 1, 2, 3, 4, 5
    )
    insert into candle as c (market_id, resolution, open_time, open, high, low, close, volume, quote_volume, trades, version, revision, corrections)
    select g.m, g.seconds, g.t, first.open, g.high, g.low, last.close, trim_scale(g.volume), trim_scale(g.quote_volume), g.n, g.version + 1, 0,
           case when g.t + make_interval(secs => g.seconds) <= g.watermark then correction_count(g.m, g.t, g.seconds, g.watermark) else 0 end
      from gain g
     cross join lateral (
           select open from candle
            where market_id = g.m and resolution = 60 and open_time >= g.t and open_time < g.t + make_interval(secs => g.seconds) and trades > 0
            order by open_time limit 1) first
     cross join lateral (
           select close from candle
            where market_id = g.m and resolution = 60 and open_time >= g.t and open_time < g.t + make_interval(secs => g.seconds) and trades > 0
            order by open_time desc limit 1) last
    on conflict (market_id, resolution, open_time) do update
       set open = excluded.open, close = excluded.close,
           high = greatest(c.high, excluded.high), low = least(c.low, excluded.low),
           volume = trim_scale(c.volume + excluded.volume), quote_volume = trim_scale(c.quote_volume + excluded.quote_volume),
           trades = c.trades + excluded.trades, version = excluded.version, revision = c.revision + 1,
           corrections = c.corrections + excluded.corrections;
    return touched;
end $$;

-- Lock one market; false where it does not exist.
create or replace function lock_market(for_market int) returns boolean language plpgsql as $$
begin
    perform 1 from market where id = for_market for no key update;
    return found;
end $$;

-- Make minutes of one locked market again and raise its version if that changed anything.
create or replace function renew(for_market int, minutes timestamptz[]) returns boolean language plpgsql as $$
declare
    changed boolean := for_market = any (reaggregate(array_fill(for_market, array[cardinality(minutes)]), minutes));
begin
    update market set version = version + 1 where id = for_market and changed;
    return changed;
end $$;

-- Make every candle of [f, t) again from its ticks; true if any came out otherwise than it was.
create or replace function rebuild(for_market int, f timestamptz, t timestamptz) returns boolean language plpgsql as $$
declare
    minutes timestamptz[];
begin
    perform lock_market(for_market);
    select array_agg(distinct x.minute) into minutes
      from (select bucket(60, ts) from tick where market_id = for_market and ts >= f and ts < t
            union all
            select open_time from candle where market_id = for_market and resolution = 60 and open_time >= bucket(60, f) and open_time < t) x (minute);
    return minutes is not null and renew(for_market, minutes);
end $$;

-- All candles of a market as one SHA-256 over their text: equal trades give equal bytes on every installation.
create or replace function digest(for_market int) returns text language sql stable
return (select encode(sha256(convert_to(coalesce(string_agg(
            concat_ws('|', resolution, micros(open_time), open, high, low, close, volume, quote_volume, trades),
            E'\n' order by resolution, open_time), ''), 'UTF8')), 'hex')
          from candle where market_id = for_market and trades > 0);

-- Which of these trades (arrays as for ingest) are stored with other content than is given here, by their place from 1,
-- and what is stored. Asked only where a batch brought fewer new trades than it holds.
create or replace function contradicted(ids int[], market_places int[], at bigint[], seqs bigint[], sides smallint[], trade_ids text[], prices numeric[], amounts numeric[])
returns table (place bigint, seq bigint, side smallint, price numeric, amount numeric) language plpgsql stable as $$
#variable_conflict use_column
declare
    since timestamptz := (select instant(min(x)) from unnest(at) x); -- where trades lie in chunks, only these are searched
    until timestamptz := (select instant(max(x)) from unnest(at) x);
begin
    return query
        select u.place, t.seq, t.side, t.price, t.amount
          from unnest(market_places, at, seqs, sides, trade_ids, prices, amounts) with ordinality u (market_place, at, seq, side, id, price, amount, place)
          join tick t on t.market_id = ids[u.market_place] and t.ts = instant(u.at) and t.trade_id = u.id and t.ts >= since and t.ts <= until
         where t.price <> u.price or t.amount <> u.amount or t.side <> u.side and t.side <> 0 and u.side <> 0 -- 0: not known
         order by u.place;
end $$;
