-- The provider's own candles, and what its answers prove. Every function here works under the lock of its markets.

-- Store candles (parallel arrays; times in microseconds), the last of equal ones; return the markets of which any is
-- new or came out otherwise than it was stored.
create or replace function store_provider_candles(mk int[], resolutions int[], opens_at bigint[], opens numeric[], highs numeric[], lows numeric[],
                                       closes numeric[], volumes numeric[], quotes numeric[])
returns table (market_id int) language sql as $$
    with written as (
        insert into provider_candle as c (market_id, resolution, open_time, open, high, low, close, volume, quote_volume, version, revision)
        select distinct on (u.m, u.resolution, u.at) u.m, u.resolution, instant(u.at), trim_scale(u.open), trim_scale(u.high),
               trim_scale(u.low), trim_scale(u.close), trim_scale(u.volume), trim_scale(u.quote_volume), k.version + 1, 0
          from unnest(mk, resolutions, opens_at, opens, highs, lows, closes, volumes, quotes) with ordinality
               u (m, resolution, at, open, high, low, close, volume, quote_volume, place)
          join market k on k.id = u.m
         order by u.m, u.resolution, u.at, u.place desc
        on conflict (market_id, resolution, open_time) do update
           set open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
               quote_volume = excluded.quote_volume, version = excluded.version, revision = c.revision + 1
         where (c.open, c.high, c.low, c.close, c.volume, c.quote_volume) is distinct from
               (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.quote_volume)
        returning market_id
    )
    select distinct w.market_id from written w
$$;

-- Let the provider have answered for [f, t); spans that touch become one row, so what is new
-- is noted for those who follow the market. False where that was known already.
create or replace function cover_provider(mk int, res int, f timestamptz, t timestamptz) returns boolean language plpgsql as $$
declare
    low timestamptz;
    high timestamptz;
begin
    if f >= t or exists (select from coverage c
                          where c.market_id = mk and c.source = 'provider' and c.feed = '' and c.resolution = res
                            and c.start <= f and c.stop >= t) then
        return false;
    end if;
    with joined as (
        delete from coverage c
         where c.market_id = mk and c.source = 'provider' and c.feed = '' and c.resolution = res and c.start <= t and c.stop >= f
        returning c.start, c.stop
    )
    select least(f, min(j.start)), greatest(t, max(j.stop)) into low, high from joined j;
    insert into coverage (market_id, source, feed, resolution, start, stop, version)
    select k.id, 'provider', '', res, low, high, k.version + 1 from market k where k.id = mk;
    insert into coverage_change (market_id, version, what, resolution, start, stop)
    select k.id, k.version + 1, 'provider', res, f, t from market k where k.id = mk;
    return true;
end $$;

-- Take a page's span, its candles stored before. `lost`: how many of its candles never arrived; then nothing is taken.
-- `doubted`: how many of its empty buckets are none, because we hold a candle there; these are left out.
create or replace function take_span(mk int, res int, f timestamptz, t timestamptz, zeros bigint[], candles bigint)
returns table (changed boolean, doubted int, lost int) language plpgsql as $$
declare
    held timestamptz;
    at timestamptz := f;
begin
    select greatest(candles - count(*), 0) into lost
      from provider_candle p where p.market_id = mk and p.resolution = res and p.open_time >= f and p.open_time < t;
    lost := case when candles is null then 0 else lost end;
    changed := false;
    doubted := 0;
    if lost = 0 then
        for held in
            select distinct instant(z.at) from unnest(zeros) z (at)
             where z.at >= micros(f) and z.at < micros(t)
               and (exists (select from candle c where c.market_id = mk and c.resolution = res and c.open_time = instant(z.at) and c.volume > 0)
                    or exists (select from provider_candle p where p.market_id = mk and p.resolution = res and p.open_time = instant(z.at)))
             order by 1
        loop
            changed := cover_provider(mk, res, at, held) or changed;
            at := held + make_interval(secs => res);
            doubted := doubted + 1;
        end loop;
        changed := cover_provider(mk, res, at, t) or changed;
    end if;
    return next;
end $$;
