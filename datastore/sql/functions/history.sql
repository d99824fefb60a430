-- The provider's own candles, and what its answers prove. Every function here works under the lock of its markets.

-- Store candles (parallel arrays; times in microseconds), the last of equal ones; return the markets of which any is
-- new or came out otherwise than it was stored, and how many of these closed outside their own range. An hour or day that
-- was whole and is made of our trades and of such a candle is corrected with it.
create or replace function store_provider_candles(markets int[], resolutions int[], opens_at bigint[], opens numeric[], highs numeric[], lows numeric[],
                                       closes numeric[], volumes numeric[], quotes numeric[])
returns table (market_id int, outside bigint) language sql as $$
    with written as (
        insert into provider_candle as c (market_id, resolution, open_time, open, high, low, close, volume, quote_volume, version, revision)
        select distinct on (u.m, u.resolution, u.at) u.m, u.resolution, instant(u.at), trim_scale(u.open), trim_scale(u.high),
               trim_scale(u.low), trim_scale(u.close), trim_scale(u.volume), trim_scale(u.quote_volume), k.version + 1, 0
          from unnest(markets, resolutions, opens_at, opens, highs, lows, closes, volumes, quotes) with ordinality
               u (m, resolution, at, open, high, low, close, volume, quote_volume, place)
          join market k on k.id = u.m
         order by u.m, u.resolution, u.at, u.place desc
        on conflict (market_id, resolution, open_time) do update
           set open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
               quote_volume = excluded.quote_volume, version = excluded.version, revision = c.revision + 1
         where (c.open, c.high, c.low, c.close, c.volume, c.quote_volume) is distinct from
               (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.quote_volume)
        returning market_id, resolution, open_time, revision, close < low or close > high as outside
    ), around as (
        select distinct w.market_id, s.seconds, bucket(s.seconds, w.open_time) as t
          from written w cross join (values (3600), (86400)) s (seconds)
         where w.revision > 0 and w.resolution < s.seconds
           and not exists (select from coverage c -- where the feed proves it, ours is shown
                            where c.market_id = w.market_id and c.source = 'live' and c.resolution = 0
                              and c.start <= w.open_time and c.stop >= w.open_time + make_interval(secs => w.resolution))
    ), corrected as (
        update candle o set corrections = o.corrections + 1
          from around a join market k on k.id = a.market_id
         where o.market_id = a.market_id and o.resolution = a.seconds and o.open_time = a.t
           and correction_count(a.market_id, a.t, a.seconds, k.watermark) = 1
    )
    select w.market_id, count(*) filter (where w.outside) from written w group by 1
$$;

-- Let the provider have answered for [f, t); spans that touch become one row, so what is new
-- is noted for those who follow the market. False where that was known already.
create or replace function cover_provider(for_market int, res int, f timestamptz, t timestamptz) returns boolean language plpgsql as $$
declare
    low timestamptz;
    high timestamptz;
begin
    if f >= t or exists (select from coverage c
                          where c.market_id = for_market and c.source = 'provider' and c.feed = '' and c.resolution = res
                            and c.start <= f and c.stop >= t) then
        return false;
    end if;
    with joined as (
        delete from coverage c
         where c.market_id = for_market and c.source = 'provider' and c.feed = '' and c.resolution = res and c.start <= t and c.stop >= f
        returning c.start, c.stop
    )
    select least(f, min(j.start)), greatest(t, max(j.stop)) into low, high from joined j;
    insert into coverage (market_id, source, feed, resolution, start, stop, proof, version)
    select k.id, 'provider', '', res, low, high, 'candle', k.version + 1 from market k where k.id = for_market;
    insert into coverage_change (market_id, version, what, resolution, start, stop)
    select k.id, k.version + 1, 'provider', res, f, t from market k where k.id = for_market;
    return true;
end $$;

-- Trades have come to be known at these times, ours or, of a resolution, the provider's candles of them (ours: 0). Where
-- a coarser bucket was covered as quiet, that answer of the provider's is taken back, and noted. Return the market and the
-- seconds of each such bucket.
create or replace function uncover_traded(markets int[], resolutions int[], times timestamptz[])
returns table (market_id int, seconds float8) language plpgsql as $$
#variable_conflict use_column
declare
    b record;
    low timestamptz;
    high timestamptz;
begin
    for b in
        select d.m, d.res, d.at, d.at + make_interval(secs => d.res) as until, k.version + 1 as next_version
          from (select distinct u.m, r.res, bucket(r.res, u.t) as at
                  from unnest(markets, resolutions, times) u (m, finer, t)
                  join unnest(array[60, 3600, 86400]) r (res) on r.res > u.finer) d
          join market k on k.id = d.m
         cross join lateral (
               -- The provider's spans of a resolution do not overlap, so only the last one can hold the bucket.
               select c.stop from coverage c
                where c.market_id = d.m and c.source = 'provider' and c.resolution = d.res and c.feed = '' and c.start <= d.at
                order by c.start desc limit 1) c
         where c.stop > d.at
           and not exists (select from provider_candle p where p.market_id = d.m and p.resolution = d.res and p.open_time = d.at)
    loop
        delete from coverage c
         where c.market_id = b.m and c.source = 'provider' and c.resolution = b.res and c.feed = '' and c.start <= b.at and c.stop > b.at
        returning c.start, c.stop into low, high;
        insert into coverage (market_id, source, feed, resolution, start, stop, proof, version)
        select b.m, 'provider', '', b.res, x.start, x.stop, 'candle', b.next_version
          from (values (low, b.at), (b.until, high)) x (start, stop) where x.start < x.stop;
        insert into coverage_change (market_id, version, what, resolution, start, stop)
        values (b.m, b.next_version, 'provider', b.res, b.at, b.until);
        market_id := b.m;
        seconds := b.res;
        return next;
    end loop;
end $$;

-- Take a page's span, its candles stored before. `lost`: how many of its candles never arrived; then nothing is taken.
-- `doubted`: in how many of its empty buckets trades are known, whatever its row says; these are left out.
create or replace function take_span(for_market int, res int, f timestamptz, t timestamptz, zeros bigint[], candles bigint)
returns table (changed boolean, doubted int, lost int) language plpgsql as $$
declare
    held timestamptz;
    at timestamptz := f;
begin
    select greatest(candles - count(*), 0) into lost
      from provider_candle p where p.market_id = for_market and p.resolution = res and p.open_time >= f and p.open_time < t;
    lost := case when candles is null then 0 else lost end;
    changed := false;
    doubted := 0;
    if lost = 0 then
        for held in
            select b.at
              from generate_series(f, t - interval '1 microsecond', make_interval(secs => res)) b (at)
              left join provider_candle own on own.market_id = for_market and own.resolution = res and own.open_time = b.at
             where case when own.market_id is not null then micros(b.at) = any (zeros)
                        else exists (select from candle c where c.market_id = for_market and c.resolution = res and c.open_time = b.at and c.trades > 0)
                             or exists (select from provider_candle p
                                         where p.market_id = for_market and p.resolution = any (array[60, 3600]) and p.resolution < res
                                           and p.open_time >= b.at and p.open_time < b.at + make_interval(secs => res)) end
             order by 1
        loop
            changed := cover_provider(for_market, res, at, held) or changed;
            at := held + make_interval(secs => res);
            doubted := doubted + 1;
        end loop;
        changed := cover_provider(for_market, res, at, t) or changed;
    end if;
    return next;
end $$;
