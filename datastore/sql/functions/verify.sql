-- Candles of whole UTC days made straight from ticks, all three resolutions, without looking at any stored candle, and
-- compared as text with what is stored: only rows that differ come back. Days whose ticks retention has deleted are
-- left out: nothing can be said of them. A trade that is stored twice counts once, whatever index there is to forbid it.
create or replace function differences(for_market int, f timestamptz, t timestamptz)
returns table (resolution int, open_time timestamptz, stored text[], computed text[]) language plpgsql stable as $$
#variable_conflict use_column
begin
    return query
        with held as (
            select greatest(bucket(86400, f), k.ticks_from) as low, bucket(86400, t + interval '1 day' - interval '1 microsecond') as high
              from market k where k.id = for_market
        ), computed as (
            select r.resolution, bucket(r.resolution, i.ts) as open_time,
                   array[trim_scale((array_agg(i.price order by i.ts, i.seq nulls last, i.trade_id))[1]), trim_scale(max(i.price)), trim_scale(min(i.price)),
                         trim_scale((array_agg(i.price order by i.ts desc, i.seq desc nulls first, i.trade_id desc))[1]),
                         trim_scale(sum(i.amount)), trim_scale(sum(i.price * i.amount)), count(*)]::text[] as numbers
              from held h
             cross join lateral (
                   select distinct on (x.ts, x.trade_id) x.* from tick x
                    where x.market_id = for_market and x.ts >= h.low and x.ts < h.high
                    order by x.ts, x.trade_id) i
             cross join (values (60), (3600), (86400)) r (resolution)
             group by 1, 2
        ), stored as (
            select c.resolution, c.open_time,
                   array[c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades]::text[] as numbers
              from held h
              join candle c on c.market_id = for_market and c.open_time >= h.low and c.open_time < h.high and c.trades > 0
        )
        select coalesce(s.resolution, n.resolution), coalesce(s.open_time, n.open_time), s.numbers, n.numbers
          from stored s
          full join computed n on n.resolution = s.resolution and n.open_time = s.open_time
         where s.numbers is distinct from n.numbers
         order by 1, 2;
end $$;

-- What differences() can look at in the same days: stored candles whose trades are kept, these trades, stored candles
-- whose trades retention has deleted, and candles that only the provider gave.
create or replace function verifiable(for_market int, f timestamptz, t timestamptz)
returns table (checked bigint, trades bigint, trades_deleted bigint, from_provider bigint) language plpgsql stable as $$
#variable_conflict use_column
declare
    since timestamptz := bucket(86400, f);
    until timestamptz := bucket(86400, t + interval '1 day' - interval '1 microsecond');
    kept timestamptz := greatest(since, (select k.ticks_from from market k where k.id = for_market));
begin
    return query
        select (select count(*) from candle c where c.market_id = for_market and c.open_time >= kept and c.open_time < until and c.trades > 0),
               (select count(*) from tick i where i.market_id = for_market and i.ts >= kept and i.ts < until),
               (select count(*) from candle c
                 where c.market_id = for_market and c.open_time >= since and c.open_time < least(kept, until) and c.trades > 0),
               (select count(*) from provider_candle p
                 where p.market_id = for_market and p.open_time >= since and p.open_time < until
                   and not exists (select from candle c
                                    where c.market_id = for_market and c.resolution = p.resolution and c.open_time = p.open_time
                                      and c.trades > 0));
end $$;
