-- What the newest proven instant of a market rests on, the strongest of it; null: nothing live was ever proven. It lies
-- in one of the spans that began last.
create or replace function live_proof(for_market int, live_stop timestamptz) returns text language sql stable as $$
    select c.proof
      from (select * from coverage
             where market_id = for_market and source = 'live' and resolution = 0 order by start desc limit 100) c
     where c.stop = live_stop
     order by array_position(array['ids', 'sequence', 'connection', 'candle'], c.proof)
     limit 1
$$;

-- The market's side of an answer for many markets at once, without ids for all that are followed. The providers' clocks
-- and the backlog are looked at once: asked for market by market they cost more than all the rest. In plpgsql, which
-- keeps the plan: making it takes longer than its work for a few markets.
create or replace function market_heads(ids int[], stale interval)
returns table (market_id int, symbol text, followed boolean, series text, version bigint, watermark bigint, now bigint, known boolean, behind boolean, live_stop bigint, delivered_by text)
language plpgsql stable as $$
#variable_conflict use_column
begin
    if ids is null then
        ids := array(select m.id from market m where m.followed);
    end if;
    return query
        with clock as materialized (
            select * from provider_times()
        ), behind as materialized (
            select m.id, min(f.behind_since) as since
              from unread_feeds(ids) f
              join market m on m.id = f.market_id and (m.live_stop is null or f.acknowledged_until > m.live_stop)
             group by 1
        )
        select m.id, m.symbol, m.followed, m.series::text, m.version, micros(x.watermark),
               micros(greatest(coalesce(c.now, statement_timestamp()), x.watermark)),
               c.now is not null, b.since is not null, micros(m.live_stop), m.provider
          from market m
          left join clock c on c.provider = m.provider
          left join behind b on b.id = m.id
         cross join lateral (
               select least(greatest(m.watermark, m.live_stop,
                                     case when c.now is not null then least(c.now, b.since) - stale
                                          else (select max(stop) from coverage where market_id = m.id and source = 'provider') end),
                            c.now) as watermark) x
         where m.id = any (ids);
end $$;
