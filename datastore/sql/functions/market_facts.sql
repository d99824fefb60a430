-- What is known of a market, and what is proven of a stretch of its time: the facts of coverage/facts.py.

-- The market's side of an answer, all times in microseconds. Where no stamp of the provider was ever seen, its own
-- final answers are the only proof of how late it is. Planned once per session, since planning costs more than the look.
create or replace function series_head(for_market int, stale interval)
returns table (series text, version bigint, watermark bigint, now bigint, known boolean, behind boolean, provider text, simulated boolean, delivered_by text)
language plpgsql stable
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
    return query
        select k.series::text, k.version, micros(x.watermark), micros(greatest(coalesce(p.now, provider_now(k.provider)), x.watermark)),
               p.now is not null, y.behind is not null, coalesce(c.identity, ''), coalesce(c.simulated, false), k.provider
          from market k
          left join provider_clock c on c.provider = k.provider
          left join lateral (select t.now from provider_times() t where t.provider = k.provider offset 0) p on true -- looked at once
         cross join lateral (select behind_since(k.id, k.symbol, k.live_stop) as behind) y
         cross join lateral (
               select case when p.now is null
                           then greatest(k.watermark, k.live_stop, (select max(stop) from coverage where market_id = k.id and source = 'provider'))
                           else least(greatest(k.watermark, k.live_stop, least(p.now, y.behind) - stale), p.now) end as watermark) x
         where k.id = for_market;
end $$;

-- Proven spans that reach into [f, t), live ones and the provider's up to a resolution, and the last live one before.
create or replace function series_coverage(for_market int, f timestamptz, t timestamptz, coarsest int)
returns table (resolution int, start bigint, stop bigint, reason text, code text, proof text) language plpgsql stable as $$
#variable_conflict use_column
begin
    return query
        select c.resolution, micros(c.start), micros(c.stop), c.reason, c.code, c.proof
          from coverage c
         where c.market_id = for_market and (c.source = 'live' and c.resolution = 0 or c.source = 'provider' and c.resolution <= coarsest)
           and c.start < t and c.stop > f
        union all
        (select 0, micros(c.start), micros(c.stop), c.reason, c.code, c.proof
           from coverage c
          where c.market_id = for_market and c.source = 'live' and c.resolution = 0 and c.start < f and c.stop <= f
          order by c.stop desc, c.reason nulls last limit 1);
end $$;

-- All that a certificate is made of: series_head, the spans of series_coverage as columns, and as JSON the repairs of gaps,
-- the ids that are known to be missing, and, if `corrected`, the stored buckets that changed after they were final (start,
-- how often, whether it is the provider's). Without t: all up to the end of time; without f: from `back` before t, or before the provider's time.
-- Planned once per session, with all that it calls: every part is a look at an index, and planning costs more than that.
create or replace function series_facts(for_market int, stale interval, f timestamptz, t timestamptz, back interval, coarsest int, corrected boolean)
returns table (series text, version bigint, watermark bigint, now bigint, known boolean, behind boolean, provider text, simulated boolean,
               delivered_by text, resolutions int[], starts bigint[], stops bigint[], reasons text[], codes text[], proofs text[], repairs text, id_gaps text,
               corrections text)
language plpgsql stable
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
    return query
        select h.*, c.*, r.*, i.*, k.*
          from series_head(for_market, stale) h
         cross join lateral (
               select coalesce(f, coalesce(t, instant(h.now)) - back) as since, coalesce(t, 'infinity') as until) w
         cross join lateral (
               select array_agg(s.resolution), array_agg(s.start), array_agg(s.stop), array_agg(s.reason), array_agg(s.code), array_agg(s.proof)
                 from series_coverage(for_market, w.since, w.until, coarsest) s) c
         cross join lateral (
               select json_agg(json_build_array(micros(g.start), micros(g.stop), g.reason, g.code, g.attempts, g.next_try, g.final) order by g.start)::text
                 from gap_repair g
                where g.market_id = for_market and g.resolution = coarsest and g.start < w.until and g.stop > w.since) r
         cross join lateral (
               select json_agg(json_build_array(x.first, x.last, micros(x.low), micros(x.high), x.doubted,
                               exists (select from fetch_request q
                                        where q.market_id = for_market and q.resolution = 0 and q.state in ('queued', 'fetching', 'published')
                                          and q.first_id <= x.last and q.last_id >= x.first)))::text
                 from id_gaps(for_market, w.since, w.until) x) i
         cross join lateral (
               select json_agg(json_build_array(micros(x.open_time), x.changes, x.from_provider))::text
                 from (select o.open_time, o.corrections, false from candle o
                        where corrected and o.market_id = for_market and o.resolution = coarsest and o.corrections > 0
                          and o.open_time >= w.since and o.open_time < w.until
                        union all
                       select p.open_time, p.revision, true from provider_candle p
                        where corrected and p.market_id = for_market and p.resolution = coarsest and p.revision > 0
                          and p.open_time >= w.since and p.open_time < w.until) x (open_time, changes, from_provider)) k;
end $$;

-- The same of many stretches at once, in their order, each of a market up to a resolution, but never what was corrected.
-- What concerns a market, not a stretch, is looked up once for all of them.
create or replace function series_facts(ids int[], coarsest int[], starts timestamptz[], stops timestamptz[], stale interval)
returns table (series text, version bigint, watermark bigint, now bigint, known boolean, behind boolean, provider text, simulated boolean,
               delivered_by text, resolutions int[], begins bigint[], ends bigint[], reasons text[], codes text[], proofs text[], repairs text, id_gaps text,
               corrections text)
language plpgsql stable as $$
#variable_conflict use_column
begin
    return query
        with head as materialized (
            select h.*, coalesce(c.identity, '') as provider, coalesce(c.simulated, false) as simulated
              from market_heads(array(select distinct u.id from unnest(ids) u (id)), stale) h
              left join provider_clock c on c.provider = h.delivered_by
        )
        select h.series, h.version, h.watermark, h.now, h.known, h.behind, h.provider, h.simulated, h.delivered_by, c.*, r.*, i.*, null::text
          from unnest(ids, coarsest, starts, stops) with ordinality w (market_id, coarsest, start, stop, place)
          join head h on h.market_id = w.market_id
         cross join lateral (
               select array_agg(s.resolution), array_agg(micros(s.start)), array_agg(micros(s.stop)), array_agg(s.reason), array_agg(s.code),
                      array_agg(s.proof)
                 from (select v.resolution, v.start, v.stop, v.reason, v.code, v.proof
                         from coverage v
                        where v.market_id = w.market_id and v.source = 'live' and v.resolution = 0 and v.start < w.stop and v.stop > w.start
                       union all
                       select v.resolution, v.start, v.stop, v.reason, v.code, v.proof
                         from coverage v
                        where v.market_id = w.market_id and v.source = 'provider' and v.resolution <= w.coarsest and v.start < w.stop and v.stop > w.start
                       union all
                       (select 0, v.start, v.stop, v.reason, v.code, v.proof
                          from coverage v
                         where v.market_id = w.market_id and v.source = 'live' and v.resolution = 0 and v.start < w.start and v.stop <= w.start
                         order by v.stop desc, v.reason nulls last limit 1)) s) c
         cross join lateral (
               select json_agg(json_build_array(micros(g.start), micros(g.stop), g.reason, g.code, g.attempts, g.next_try, g.final) order by g.start)::text
                 from gap_repair g
                where g.market_id = w.market_id and g.resolution = w.coarsest and g.start < w.stop and g.stop > w.start) r
         cross join lateral (
               select case when exists (select from id_range x where x.market_id = w.market_id) then (
                   select json_agg(json_build_array(x.first, x.last, micros(x.low), micros(x.high), x.doubted,
                                   exists (select from fetch_request q
                                            where q.market_id = w.market_id and q.resolution = 0 and q.state in ('queued', 'fetching', 'published')
                                              and q.first_id <= x.last and q.last_id >= x.first)))::text
                     from id_gaps(w.market_id, w.start, w.stop) x) end) i
         order by w.place;
end $$;
