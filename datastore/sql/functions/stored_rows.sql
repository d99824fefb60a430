-- The candles of a series as text: one text per run, read by series/stored_rows.py.

-- The provider's prices as they are served: in every row low <= open, close <= high. A close outside its row's range widens
-- the range; an open outside, which is often the close before, is the nearest price of the range. `raw`: as given.
create or replace function served_open(open numeric, high numeric, low numeric, close numeric, raw boolean) returns numeric language sql immutable
return case when raw or open >= low and open <= high then open else greatest(least(open, greatest(high, close)), least(low, close)) end;

create or replace function served_high(high numeric, close numeric, raw boolean) returns numeric language sql immutable
return case when raw or close <= high then high else close end;

create or replace function served_low(low numeric, close numeric, raw boolean) returns numeric language sql immutable
return case when raw or close >= low then low else close end;

-- The stored rows of a plan: each leaf is a stretch of one stored series, in whole buckets, and belongs to a run.
-- Plain enough to be inlined. Decimals of the provider's keep their zeros here.
create or replace function leaf_rows(for_market int, raw boolean, starts bigint[], stops bigint[], resolutions int[], from_provider boolean[], runs int[])
returns table (run int, open_time timestamptz, open numeric, high numeric, low numeric, close numeric, volume numeric, quote_volume numeric, trades int, revision int)
language sql stable as $$
    select l.run, x.*
      from unnest(starts, stops, resolutions, from_provider, runs) l (start, stop, resolution, provider, run)
     cross join lateral (
           select c.open_time, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades, c.revision
             from candle c
            where not l.provider and c.market_id = for_market and c.resolution = l.resolution
              and c.open_time >= instant(l.start) and c.open_time < instant(l.stop) and c.trades > 0
           union all
           select p.open_time, served_open(p.open, p.high, p.low, p.close, raw), served_high(p.high, p.close, raw),
                  served_low(p.low, p.close, raw), p.close, p.volume, p.quote_volume, null, p.revision
             from provider_candle p
            where l.provider and p.market_id = for_market and p.resolution = l.resolution
              and p.open_time >= instant(l.start) and p.open_time < instant(l.stop)) x
$$;

-- One candle as text. The shape places (open time in seconds, open, high, low, close, volume, quote volume, trades,
-- source, closed, revision); buckets begin at whole seconds, so a shape makes milliseconds by three zeros. What a provider
-- does not give, trades or quote volume, is written as `absent`, without the quotation marks of a decimal. One expression,
-- so that it is inlined: called once a row it costs three times as much.
create or replace function candle_text(shape text, absent text, open_time timestamptz, open numeric, high numeric, low numeric, close numeric,
                            volume numeric, quote_volume numeric, trades int, source text, closed boolean, revision int)
returns text language sql stable
return case when quote_volume is null
            then replace(format(shape, date_part('epoch', open_time)::bigint, trim_scale(open), trim_scale(high), trim_scale(low), trim_scale(close),
                                trim_scale(volume), absent, coalesce(trades::text, absent), source,
                                case when closed then 'true' else 'false' end, revision), '"' || absent || '"', absent)
            else format(shape, date_part('epoch', open_time)::bigint, trim_scale(open), trim_scale(high), trim_scale(low), trim_scale(close),
                        trim_scale(volume), trim_scale(quote_volume), coalesce(trades::text, absent), source,
                        case when closed then 'true' else 'false' end, revision) end;

-- The rows of a plan as they are stored: one text per run, counted from 1, its rows joined by `between_them`. The open
-- times (ms) of partial ones stand apart too, for the certificate shows each of them; on request all of them do. Planned
-- once per session: no plan gets better by knowing the leaves, and planning costs more than some hundred rows.
create or replace function stored_texts(for_market int, raw boolean, shape text, absent text, between_them text, all_opens boolean, starts bigint[], stops bigint[], resolutions int[], from_provider boolean[], runs int[], sources text[], are_closed boolean[])
returns table (run int, rows bigint, opens bigint[], body text) language plpgsql stable
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
    return query
        select x.run, count(*), array_agg(date_part('epoch', x.open_time)::bigint * 1000 order by x.open_time) filter (where all_opens or sources[x.run] = 'partial'),
               string_agg(candle_text(shape, absent, x.open_time, x.open, x.high, x.low, x.close, x.volume, x.quote_volume,
                                      x.trades, sources[x.run], are_closed[x.run], x.revision), between_them order by x.open_time)
          from leaf_rows(for_market, raw, starts, stops, resolutions, from_provider, runs) x
         group by x.run;
end $$;

-- The same leaves aggregated into buckets of `seconds` (0: months). The provider's rows have no count of trades, and
-- some have no quote volume: where one takes part, that is unknown. The revision rises with every change and every new part. Memory enough that a
-- page is sorted in it.
create or replace function bucket_texts(for_market int, raw boolean, seconds int, shape text, absent text, between_them text, all_opens boolean, starts bigint[], stops bigint[], resolutions int[], from_provider boolean[], runs int[], sources text[], are_closed boolean[])
returns table (run int, rows bigint, opens bigint[], body text) language plpgsql stable
set work_mem = '32MB' set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
    return query
        with made as (
            select bucket(seconds, r.open_time) as start, r.run, (array_agg(r.open order by r.open_time))[1] as open, max(r.high) as high,
                   min(r.low) as low, (array_agg(r.close order by r.open_time))[count(*)] as close, sum(r.volume) as volume,
                   case when count(r.quote_volume) = count(*) then sum(r.quote_volume) end as quote_volume, case when count(r.trades) = count(*) then sum(r.trades)::int end as trades,
                   (sum(r.revision) + count(*) - 1)::int as revision
              from leaf_rows(for_market, raw, starts, stops, resolutions, from_provider, runs) r
             group by 1, 2
        )
        select x.run, count(*), array_agg(date_part('epoch', x.start)::bigint * 1000 order by x.start) filter (where all_opens or sources[x.run] = 'partial'),
               string_agg(candle_text(shape, absent, x.start, x.open, x.high, x.low, x.close, x.volume, x.quote_volume,
                                      x.trades, sources[x.run], are_closed[x.run], x.revision), between_them order by x.start)
          from made x
         group by x.run;
end $$;
