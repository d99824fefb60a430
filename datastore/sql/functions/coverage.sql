-- Positions of feeds and the spans they prove.

-- Lock the named markets, in the order of their ids so that two batches never wait for each other in a circle, and
-- return what is known of each (market, feed). The positions are read by a statement of their own after the lock:
-- one statement would show them as they were before it waited. `oldest`: trades before are refused.
create or replace function lock_markets(markets text[], pair_market text[], pair_feed text[], retention interval)
returns table (symbol text, market_id int, oldest bigint, feed text, last_n bigint, unbroken boolean, start bigint, stop bigint, bridge bigint, reason text, numbers jsonb, delivered_by text)
language plpgsql as $$
#variable_conflict use_column
begin
    perform 1 from market k where k.symbol = any (markets) order by k.id for no key update;
    return query
        with clock as materialized (
            select * from provider_times()
        )
        select k.symbol, k.id, micros(greatest(k.ticks_from, t.now - retention)),
               u.f, p.last_n, p.unbroken, micros(p.start), micros(p.stop), micros(p.bridge), p.reason, p.numbers, k.provider
          from unnest(pair_market, pair_feed) u (m, f)
          join market k on k.symbol = u.m
          left join clock t on t.provider = k.provider
          left join feed_position p on p.market_id = k.id and p.feed = u.f;
end $$;

-- From where on a subscription's replay proves that nothing is missing before its own start; null: it proves nothing.
-- First way: a replayed trade that an earlier connection had brought; all that was discovered after it was replayed.
-- Where trades are numbered, only down to the first number that the replay lacks. What is stored under another number may
-- be another trade of the same id: then nothing is proven.
-- Second way: the numbers from the end of the last proven span to the replay's last are all there.
create or replace function bridge_start(for_market int, connected timestamptz, start timestamptz, replayed jsonb) returns bigint language plpgsql stable as $$
declare
    oldest timestamptz; -- of the replay: where ticks lie in chunks, only those that it touches are looked into
    latest timestamptz;
    known timestamptz;
    confused boolean;
    ended timestamptz;
    unbroken_from bigint;
    low bigint;
    newest bigint;
    whole boolean;
    between_them bigint;
begin
    select min(d.seq) into unbroken_from
      from (select n.seq, max(n.seq) over () - n.seq + 1 - count(*) over (order by n.seq desc) as lacking
              from (select distinct r.seq from jsonb_to_recordset(replayed) r (seq bigint) where r.seq is not null) n) d
     where d.lacking = 0;
    select instant(min(r.ts)), instant(max(r.ts)) into oldest, latest from jsonb_to_recordset(replayed) r (ts bigint);
    select min(x.received_at) filter (where x.received_at < connected and (r.seq is null or r.seq >= unbroken_from)),
           coalesce(bool_or(x.another), false) into known, confused
      from jsonb_to_recordset(replayed) r (ts bigint, id text, seq bigint, numbered text)
     cross join lateral (
           select min(t.received_at) filter (where y.same) as received_at, bool_and(not y.same) as another
             from tick t
            cross join lateral (select r.seq is null or t.seq is null or t.seq = r.seq as same) y
            where t.market_id = for_market and t.ts = instant(r.ts) and t.ts >= oldest and t.ts <= latest
              and t.trade_id in (r.id, r.numbered)) x;
    if confused then
        return null;
    end if;
    select max(c.stop) into ended from coverage c
     where c.market_id = for_market and c.source = 'live' and c.resolution = 0 and c.stop <= connected;
    select min(r.seq), count(*) = count(r.seq) and count(distinct r.seq) = max(r.seq) - min(r.seq) + 1 into low, whole
      from jsonb_to_recordset(replayed) r (seq bigint);
    if ended is null or not coalesce(whole, false) then
        return micros(known);
    end if;
    -- A day back is far enough: a market that trades less often is bridged by the first way.
    select t.seq into newest from tick t
     where t.market_id = for_market and t.ts > ended - interval '1 day' and t.ts <= ended and t.received_at <= ended and t.seq is not null
     order by t.ts desc, t.seq desc limit 1;
    select count(distinct t.seq) into between_them from tick t
     where t.market_id = for_market and t.ts > ended - interval '1 day' and t.received_at < connected and t.seq > newest and t.seq < low;
    -- A replay that reaches back to the newest holds its trade, so the first way has found it; one that lies below it
    -- is of another numbering, and proves nothing.
    if low > newest and between_them = low - newest - 1 then
        return micros(least(known, ended));
    end if;
    return micros(known);
end $$;

-- Write positions and spans of locked markets, raise the versions of those whose answers changed, store their
-- watermarks. A span shows when it begins, when it ends, and when it grows over time that readers saw as not covered;
-- what it gained is then noted, for those who follow the market.
-- `lost`: the feeds that claimed too much, each with the last certain time; that shows and is noted too, and the
-- market's watermark goes back with it. `lost_s`: how many seconds of claims were taken back.
create or replace function settle(ids int[], touched int[], positions jsonb, lost jsonb, spans jsonb, stale interval)
returns table (market_id int, version bigint, changed boolean, lost_s float8) language plpgsql as $$
#variable_conflict use_column
declare
    is_behind boolean := exists (select from feed where drained_at is null or drained_at < acknowledged_at);
    shown int[] := '{}';
    grown_market int[];
    grown_stop timestamptz[];
    shrunk int[];
    shrunk_s float8[];
begin
    insert into feed_position as p (market_id, feed, topic, last_n, unbroken, start, stop, bridge, reason, numbers)
    select u.m, u.f, split_part(u.f, '/', 1), u.n, u.unbroken, instant(u.start), instant(u.stop), instant(u.bridge), u.reason, u.numbers
      from jsonb_to_recordset(positions) u (m int, f text, n bigint, unbroken boolean, start bigint, stop bigint, bridge bigint, reason text, numbers jsonb)
    on conflict (market_id, feed) do update
       set last_n = excluded.last_n, unbroken = excluded.unbroken, start = excluded.start, stop = excluded.stop,
           bridge = excluded.bridge, reason = excluded.reason, numbers = excluded.numbers;

    if lost <> '[]' then
        with cut as (
            select c.market_id, c.feed, c.start, c.stop, c.proof, u.reason, u.code, x.certain, k.version + 1 as next_version
              from jsonb_to_recordset(lost) u (m int, f text, certain bigint, reason text, code text)
             cross join lateral (select instant(u.certain) as certain) x
              join market k on k.id = u.m
              join coverage c on c.market_id = u.m and c.source = 'live' and c.feed in (u.f, 'seq/' || u.f) and c.resolution = 0 and c.stop > x.certain
        ), dropped as (
            delete from coverage c using cut x
             where c.market_id = x.market_id and c.source = 'live' and c.feed = x.feed and c.resolution = 0 and c.start = x.start
               and x.start >= x.certain
        ), shortened as (
            update coverage c set stop = x.certain, reason = x.reason, code = x.code, version = x.next_version
              from cut x
             where c.market_id = x.market_id and c.source = 'live' and c.feed = x.feed and c.resolution = 0 and c.start = x.start
               and x.start < x.certain
        ), noted as (
            insert into coverage_change (market_id, version, what, resolution, start, stop)
            select x.market_id, x.next_version, 'live', 0, greatest(x.start, x.certain), x.stop from cut x where x.proof <> 'sequence'
        ), summed as (
            select x.market_id, sum(extract(epoch from x.stop - greatest(x.start, x.certain))) as seconds
              from cut x where x.proof <> 'sequence' group by 1
        )
        select array_agg(s.market_id), array_agg(s.seconds) into shrunk, shrunk_s from summed s;
    end if;

    if spans <> '[]' then
        with clock as materialized (
            select t.provider, t.now - stale as waited from provider_times() t
        ), span as (
            select u.m, u.f, instant(u.start) as start, instant(u.stop) as stop, u.reason, u.code, coalesce(u.proof, 'connection') as proof
              from jsonb_to_recordset(spans) u (m int, f text, start bigint, stop bigint, reason text, code text, proof text)
        ), judged as (
            -- Where records are behind, readers saw less than `waited`: then a version too many, never one too few. What
            -- numbers prove lies in a span of their feed, so that its growth changes no more than the proof that is shown.
            select s.*, k.version + 1 as next_version, coalesce(c.stop, s.start) as gained_from,
                   c.start is null or s.reason is not null and c.reason is null
                   or s.proof = 'connection' and c.stop < least(s.stop, greatest(k.watermark, k.live_stop, t.waited)) and not exists (
                       select from coverage o
                        where o.market_id = s.m and o.source = 'live' and o.resolution = 0 and o.start <= c.stop
                          and o.stop >= least(s.stop, greatest(k.watermark, k.live_stop, t.waited))) as shows
              from span s
              join market k on k.id = s.m
              left join clock t on t.provider = k.provider
              left join coverage c on c.market_id = s.m and c.source = 'live' and c.feed = s.f and c.resolution = 0 and c.start = s.start
        ), written as (
            insert into coverage as c (market_id, source, feed, resolution, start, stop, reason, code, proof, version)
            select j.m, 'live', j.f, 0, j.start, j.stop, j.reason, j.code, j.proof, case when j.shows then j.next_version else 0 end from judged j
            on conflict (market_id, source, feed, resolution, start) do update
               set stop = greatest(c.stop, excluded.stop), reason = coalesce(c.reason, excluded.reason),
                   code = case when c.reason is null then excluded.code else c.code end,
                   version = greatest(c.version, excluded.version)
             where excluded.stop > c.stop or excluded.reason is not null and c.reason is null
        ), noted as (
            insert into coverage_change (market_id, version, what, resolution, start, stop)
            select j.m, j.next_version, 'live', 0, j.gained_from, j.stop from judged j where j.shows and j.gained_from < j.stop
        )
        select coalesce(array_agg(j.m) filter (where j.shows), '{}'), array_agg(j.m), array_agg(j.stop)
          into shown, grown_market, grown_stop
          from judged j;
    end if;

    return query
        with clock as materialized (
            select * from provider_times()
        ), grown as (
            select u.m, max(u.stop) as stop from unnest(grown_market, grown_stop) u (m, stop) group by 1
        ), locked as materialized (
            select k.id, k.provider, k.version, x.*, s.seconds
              from market k
              left join grown g on g.m = k.id
              left join unnest(shrunk, shrunk_s) s (m, seconds) on s.m = k.id
             cross join lateral (
                   select k.id in (select unnest(touched)) or k.id in (select unnest(shown)) or s.m is not null as changed,
                          case when s.m is null then k.watermark end as known,
                          case when s.m is null then greatest(k.live_stop, g.stop)
                               else (select max(c.stop) from coverage c
                                      where c.market_id = k.id and c.source = 'live' and c.resolution = 0) end as live_stop) x
             where k.id = any (ids)
        ), behind as materialized (
            select l.id, min(f.behind_since) as since
              from locked l
              join unread_feeds(ids) f on f.market_id = l.id and (l.live_stop is null or f.acknowledged_until > l.live_stop)
             group by 1
        ), next as materialized (
            select l.id, l.version + l.changed::int as version, l.changed, l.live_stop, l.seconds,
                   case when not is_behind then greatest(l.known, l.live_stop, t.now - stale)
                        -- As market_watermark has it, with the clocks and the backlog looked at once.
                        when t.now is null then greatest(l.known, l.live_stop)
                        else least(greatest(l.known, l.live_stop, least(t.now, b.since) - stale), t.now) end as watermark
              from locked l
              left join clock t on t.provider = l.provider
              left join behind b on b.id = l.id
        ), written as (
            update market k set version = n.version, live_stop = n.live_stop, watermark = n.watermark
              from next n
             where k.id = n.id and (k.version, k.live_stop, k.watermark) is distinct from (n.version, n.live_stop, n.watermark)
        )
        select n.id, n.version, n.changed, coalesce(n.seconds, 0)::float8 from next n order by n.id;
end $$;
