-- Claims that are taken back: coverage that later evidence shows to be wrong.

-- Under the market's lock: take back what live feeds prove of a market from `certain` on. Spans end there for this
-- reason, so that the rest is a gap and is repaired; the watermark goes back to what is still known, the version rises,
-- and followers see it. Feeds begin new spans with their next claim. Return whether anything was taken back.
create or replace function take_back(for_market int, certain timestamptz, why text, kind text, stale interval) returns boolean language plpgsql as $$
declare
    low timestamptz;
    high timestamptz;
    left_stop timestamptz;
    known_until timestamptz;
begin
    select greatest(min(c.start), certain), max(c.stop) into low, high from coverage c
     where c.market_id = for_market and c.source = 'live' and c.resolution = 0 and c.stop > certain;
    delete from coverage c
     where c.market_id = for_market and c.source = 'live' and c.resolution = 0 and c.start >= certain;
    update coverage c set stop = certain, reason = why, code = kind, version = k.version + 1
      from market k
     where k.id = for_market and c.market_id = for_market and c.source = 'live' and c.resolution = 0 and c.stop > certain;
    update feed_position p set start = null, stop = null, bridge = null, reason = why, numbers = null
     where p.market_id = for_market and (p.stop > certain or p.start > certain);

    -- What ids prove does not rest on our time, but for statements that may have been made after it; and nothing is proven
    -- of the future.
    update last_trade l set at = certain, since = least(l.since, certain) where l.market_id = for_market and l.at > certain;
    if high is not null then
        perform prove_ids(array_agg(for_market), array_agg(r.first), stale)
           from (select r.first from id_range r where r.market_id = for_market and r.until >= certain
                 union
                 (select r.first from id_range r where r.market_id = for_market order by r.first desc limit 1)) r;
    end if;

    select max(c.stop) into left_stop from coverage c where c.market_id = for_market and c.source = 'live' and c.resolution = 0;
    select market_watermark(k.provider, null, left_stop, behind_since(k.id, k.symbol, left_stop), stale) into known_until
      from market k where k.id = for_market;
    if high is null and not exists (select from market k where k.id = for_market and k.watermark > known_until) then
        return false;
    end if;
    insert into coverage_change (market_id, version, what, resolution, start, stop)
    select k.id, k.version + 1, 'live', 0, low, high from market k where k.id = for_market and low < high;
    update market k
       set version = k.version + 1, live_stop = left_stop, watermark = least(k.watermark, known_until)
     where k.id = for_market;
    return true;
end $$;

-- From where on the live claims of a market are wrong: all that reach beyond the provider's time, since its clock was
-- last certain; where that is not known, since they began. Null: none are. A second, for the estimate breathes.
create or replace function false_since(for_market int) returns timestamptz language sql stable
return (select min(greatest(c.start, p.certain_until))
          from coverage c
          join market k on k.id = c.market_id
          join provider_times() p on p.provider = k.provider
         where c.market_id = for_market and c.source = 'live' and c.resolution = 0 and c.stop > p.now + interval '1 second');

-- Under the market's lock: a trade that came at this time contradicts the one that is stored. If live feeds prove that
-- time, what they prove from it on is taken back; elsewhere nothing is claimed of it. Return whether anything was.
create or replace function take_back_at(for_market int, at timestamptz, why text, kind text, stale interval) returns boolean language plpgsql as $$
begin
    return exists (select from coverage c
                    where c.market_id = for_market and c.source = 'live' and c.resolution = 0 and c.start <= at and c.stop > at)
           and take_back(for_market, at, why, kind, stale);
end $$;
