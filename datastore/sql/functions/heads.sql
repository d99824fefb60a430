-- What the newest proven instant of a market rests on, the strongest of it; null: nothing live was ever proven. It lies
-- in one of the spans that began last.
create or replace function live_proof(mk int, live_stop timestamptz) returns text language sql stable as $$
    select c.proof
      from (select * from coverage
             where market_id = mk and source = 'live' and resolution = 0 order by start desc limit 100) c
     where c.stop = live_stop
     order by array_position(array['ids', 'sequence', 'connection', 'candle'], c.proof)
     limit 1
$$;

-- The market's side of an answer for many markets at once, without ids for all that are followed. The providers' clocks
-- and the backlog are looked at once: asked for market by market they cost more than all the rest.
create or replace function market_heads(ids int[], stale interval)
returns table (market_id int, symbol text, followed boolean, series text, version bigint, watermark bigint, now bigint, known boolean, behind boolean, live_stop bigint, delivered_by text)
language sql stable as $$
    with clock as materialized (
        select * from provider_times()
    ), backlog as materialized (
        select exists (select from feed where drained_at is null or drained_at < acknowledged_at) as is_behind
    )
    select m.id, m.symbol, m.followed, m.series::text, m.version, micros(x.watermark),
           micros(greatest(coalesce(p.now, statement_timestamp()), x.watermark)),
           p.known, y.behind is not null, micros(m.live_stop), m.provider
      from market m
      left join clock c on c.provider = m.provider
     cross join lateral (select c.now, c.now is not null as known) p
     cross join backlog b
     cross join lateral (
           select case when b.is_behind then behind_since(m.id, m.symbol, m.live_stop) end as behind) y
     cross join lateral (
           select least(greatest(m.watermark, m.live_stop,
                                 case when p.known then least(p.now, y.behind) - stale
                                      else (select max(stop) from coverage where market_id = m.id and source = 'provider') end),
                        case when p.known then p.now end) as watermark) x
     where case when ids is null then m.followed else m.id = any (ids) end
$$;
