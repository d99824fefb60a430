-- Rows of a plan as rows: before read_text.sql gave them as text. Made by one migration, dropped by a later one.

-- Rows of a plan as they are stored: each leaf is a stretch of one stored series, in whole buckets.
create function series_rows(mk int, starts bigint[], stops bigint[], resolutions int[], from_provider boolean[], sources text[], are_closed boolean[])
returns table (open_ms bigint, open text, high text, low text, close text, volume text, quote_volume text, trades int, source text, closed boolean, revision int)
language plpgsql stable as $$
#variable_conflict use_column
begin
    return query
        select micros(x.open_time) / 1000, x.open::text, x.high::text, x.low::text, x.close::text, x.volume::text, x.quote_volume::text,
               x.trades, l.source, l.closed, x.revision
          from unnest(starts, stops, resolutions, from_provider, sources, are_closed) l (start, stop, resolution, provider, source, closed)
         cross join lateral (
               select c.open_time, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades, c.revision
                 from candle c
                where not l.provider and c.market_id = mk and c.resolution = l.resolution
                  and c.open_time >= instant(l.start) and c.open_time < instant(l.stop) and c.trades > 0
               union all
               select p.open_time, trim_scale(p.open), trim_scale(p.high), trim_scale(p.low), trim_scale(p.close),
                      trim_scale(p.volume), trim_scale(p.quote_volume), null, p.revision
                 from provider_candle p
                where l.provider and p.market_id = mk and p.resolution = l.resolution
                  and p.open_time >= instant(l.start) and p.open_time < instant(l.stop)) x
         order by x.open_time;
end $$;

-- The same leaves aggregated into buckets of `seconds` (0: months). The provider counts no trades, so where one of its
-- rows takes part the count is unknown. The revision rises with every change and every new part.
create function series_buckets(mk int, seconds int, starts bigint[], stops bigint[], resolutions int[], from_provider boolean[], sources text[], are_closed boolean[])
returns table (open_ms bigint, open text, high text, low text, close text, volume text, quote_volume text, trades int, source text, closed boolean, revision int)
language plpgsql stable as $$
#variable_conflict use_column
begin
    return query
        select micros(x.start) / 1000, x.opens[1]::text, x.high::text, x.low::text, x.closes[array_upper(x.closes, 1)]::text,
               trim_scale(x.volume)::text, trim_scale(x.quote_volume)::text, x.trades, x.source, x.closed, x.revision
          from (select bucket(seconds, u.open_time) as start, u.source, u.closed,
                       array_agg(u.open order by u.open_time) as opens, max(u.high) as high, min(u.low) as low,
                       array_agg(u.close order by u.open_time) as closes, sum(u.volume) as volume, sum(u.quote_volume) as quote_volume,
                       case when count(u.trades) = count(*) then sum(u.trades)::int end as trades,
                       (sum(u.revision) + count(*) - 1)::int as revision
                  from (select l.source, l.closed, x.*
                          from unnest(starts, stops, resolutions, from_provider, sources, are_closed) l (start, stop, resolution, provider, source, closed)
                         cross join lateral (
                               select c.open_time, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades, c.revision
                                 from candle c
                                where not l.provider and c.market_id = mk and c.resolution = l.resolution
                                  and c.open_time >= instant(l.start) and c.open_time < instant(l.stop) and c.trades > 0
                               union all
                               select p.open_time, trim_scale(p.open), trim_scale(p.high), trim_scale(p.low), trim_scale(p.close),
                                      p.volume, p.quote_volume, null, p.revision
                                 from provider_candle p
                                where l.provider and p.market_id = mk and p.resolution = l.resolution
                                  and p.open_time >= instant(l.start) and p.open_time < instant(l.stop)) x) u
                 group by 1, 2, 3) x
         order by x.start;
end $$;
