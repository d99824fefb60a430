-- Which of a venue's consecutive trade ids are stored, and what that proves. Plans are made once per connection: they do
-- not depend on the values, and making one costs more than its work. A row of id_range is one unbroken range: no
-- two of a market overlap, and none touches another but around ids in doubt. Every function here works under the lock of
-- its markets.

-- How far the order of ids and the order of times may differ: two ids of which the lower was traded later, by at most so
-- much. What a range proves stays away so far from the times at its ends.
create or replace function id_slack() returns interval language sql immutable parallel safe return interval '100 milliseconds';

-- Which ranges (doubted ones too) hold any id of these, given as ranges themselves.
create or replace function held_ids(markets int[], firsts bigint[], lasts bigint[])
returns table (market_id int, first bigint, last bigint) language plpgsql stable set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
    return query
        select distinct u.m, x.first, x.last
          from unnest(markets, firsts, lasts) u (m, first, last)
         cross join lateral (
               (select r.first, r.last from id_range r where r.market_id = u.m and r.first <= u.first order by r.first desc limit 1)
               union all
               select r.first, r.last from id_range r where r.market_id = u.m and r.first > u.first and r.first <= u.last) x
         where x.last >= u.first;
end $$;

-- Which of these trades, all of whose ids are held, are not the ones that are stored, by their place from 1. A venue may
-- give a trade's time in more than one precision. Of what retention has deleted nothing can be said.
create or replace function unlike_stored(ids int[], market_places int[], at bigint[], sides smallint[], trade_ids text[], prices numeric[], amounts numeric[])
returns table (place bigint) language plpgsql stable set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    since timestamptz := (select instant(min(x)) from unnest(at) x) - id_slack(); -- where trades lie in chunks, only these are searched
    until timestamptz := (select instant(max(x)) from unnest(at) x) + id_slack();
begin
    return query
        select u.place
          from unnest(market_places, at, sides, trade_ids, prices, amounts) with ordinality u (market_place, at, side, id, price, amount, place)
          join market k on k.id = ids[u.market_place]
         cross join lateral (select instant(u.at) as ts) x
         where (k.ticks_from is null or x.ts - id_slack() >= k.ticks_from)
           and case when exists (
                        select from tick t
                         where t.market_id = k.id and t.ts = x.ts and t.trade_id = u.id and t.ts >= since and t.ts <= until
                           and t.price = u.price and t.amount = u.amount and (t.side = u.side or t.side = 0 or u.side = 0)) -- 0: not known
                    then false -- most come with the same time: the others are looked for
                    else not exists (
                        select from tick t
                         where t.market_id = k.id and t.ts >= x.ts - id_slack() and t.ts <= x.ts + id_slack() and t.ts >= since and t.ts <= until
                           and t.trade_id = u.id and t.price = u.price and t.amount = u.amount
                           and (t.side = u.side or t.side = 0 or u.side = 0)) end
         order by 1;
end $$;

-- Store ranges of ids whose trades are stored now (times in microseconds: of the first and of the last trade), and what
-- the venue said of its newest trade; then prove what follows. Ranges that touch become one. A statement is kept while
-- it can mean anything: until trades after the one that it names are stored.
create or replace function store_ids(markets int[], firsts bigint[], lasts bigint[], sinces bigint[], untils bigint[],
                                     said_of int[], said_ids bigint[], said_since bigint[], said_at bigint[], stale interval)
returns table (market_id int, shows boolean, lost_s float8) language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    kept_statements constant int := 100; -- of a market: of more the newest are enough
    touched int[];
    touched_first bigint[];
    gone int[];
    gone_first bigint[];
begin
    with run as (
        select u.m, u.first, u.last, instant(u.since) as since, instant(u.until) as until
          from unnest(markets, firsts, lasts, sinces, untils) u (m, first, last, since, until)
    ), near as (
        select distinct u.m, x.*
          from run u
         cross join lateral (
               (select r.first, r.last, r.since, r.until, r.doubted from id_range r
                 where r.market_id = u.m and r.first <= u.first order by r.first desc limit 1)
               union all
               select r.first, r.last, r.since, r.until, r.doubted from id_range r
                where r.market_id = u.m and r.first > u.first and r.first <= u.last + 1) x
         where not x.doubted and x.last >= u.first - 1
    ), piece as (
        select m, first, last, since, until, false as held from run union all select m, first, last, since, until, true from near
    ), edge as (
        select p.*, coalesce(p.first > max(p.last) over (partition by p.m order by p.first, p.last desc
                                                         rows between unbounded preceding and 1 preceding) + 1, true) as begins
          from piece p
    ), island as (
        select e.*, count(*) filter (where e.begins) over (partition by e.m order by e.first, e.last desc
                                                           rows between unbounded preceding and current row) as place
          from edge e
    ), joined as (
        select m, place, min(first) as first, max(last) as last, (array_agg(since order by first, last desc))[1] as since,
               (array_agg(until order by last desc, first))[1] as until
          from island group by m, place
    ), written as (
        insert into id_range as r (market_id, first, last, since, until, doubted)
        select j.m, j.first, j.last, j.since, j.until, false from joined j
        on conflict (market_id, first) do update set last = excluded.last, since = excluded.since, until = excluded.until
        returning r.market_id, r.first
    ), swallowed as (
        delete from id_range r using island i, joined j
         where i.held and r.market_id = i.m and r.first = i.first and j.m = i.m and j.place = i.place and j.first <> i.first
        returning r.market_id, r.first
    )
    select (select array_agg(w.market_id) from written w), (select array_agg(w.first) from written w),
           (select array_agg(s.market_id) from swallowed s), (select array_agg(s.first) from swallowed s)
      into touched, touched_first, gone, gone_first;

    insert into last_trade as l (market_id, last_id, since, at)
    select u.m, u.id, min(instant(u.since)), max(instant(u.at)) from unnest(said_of, said_ids, said_since, said_at) u (m, id, since, at)
     where u.id > 0 group by 1, 2
    on conflict (market_id, last_id) do update set since = least(l.since, excluded.since), at = greatest(l.at, excluded.at)
     where excluded.at > l.at or excluded.since < l.since;
    delete from last_trade l
     where l.market_id = any (touched || said_of)
       and ((select r.last from id_range r where r.market_id = l.market_id and r.first <= l.last_id order by r.first desc limit 1) > l.last_id
            or l.at < (select o.at from last_trade o where o.market_id = l.market_id order by o.at desc offset kept_statements limit 1));

    select touched || gone || array_agg(x.m), touched_first || gone_first || array_agg(x.first) into touched, touched_first
      from (select distinct u.m, r.first
              from unnest(said_of, said_ids) u (m, id)
             cross join lateral (
                   select r.first, r.last from id_range r where r.market_id = u.m and r.first <= u.id order by r.first desc limit 1) r
             where r.last = u.id) x;
    return query select * from prove_ids(touched, touched_first, stale);
end $$;

-- Prove by ids what these ranges (keys: the first id of each) and their neighbours prove now: a span from the first trade
-- of a range to its last one, and on to the time of the venue's statement that this is its newest. What lay on the other
-- side of a neighbour's times, between those of any ids in doubt, or is contradicted by the next range, is not claimed, nor is the future; before the
-- provider's time is known, statements have no place in time. The rows of
-- ranges that are gone go. What is gained where readers saw a gap, or lost, shows, and is noted for those who follow the
-- market; a watermark that went further than what is left goes back.
create or replace function prove_ids(of_markets int[], keys bigint[], stale interval)
returns table (market_id int, shows boolean, lost_s float8) language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    markets int[];
    firsts bigint[];
    starts timestamptz[];
    stops timestamptz[];
    changed int[];
    visible boolean[];
    newest timestamptz[];
    lost_seconds float8[];
begin
    with clock as materialized (
        select k.id as m, t.now from market k left join provider_times() t on t.provider = k.provider where k.id = any (of_markets)
    ), near as (
        select distinct u.m, x.first
          from unnest(of_markets, keys) u (m, first)
         cross join lateral (
               select u.first
               union all
               (select r.first from id_range r where r.market_id = u.m and r.first < u.first order by r.first desc limit 1)
               union all
               (select r.first from id_range r where r.market_id = u.m and r.first > u.first order by r.first limit 1)) x (first)
    )
    select array_agg(n.m), array_agg(n.first), array_agg(w.start), array_agg(w.stop) 
      into markets, firsts, starts, stops
      from near n
      join clock on clock.m = n.m
      left join id_range r on r.market_id = n.m and r.first = n.first and not r.doubted
      left join lateral (
           select o.until, o.doubted and o.last = r.first - 1 as touches
             from id_range o where o.market_id = n.m and o.first < n.first order by o.first desc limit 1) before on true
      left join lateral (
           select o.since, o.doubted and o.first = r.last + 1 as touches
             from id_range o where o.market_id = n.m and o.first > n.first order by o.first limit 1) after on true
      left join lateral (
           select max(o.until) as until from id_range o where o.market_id = n.m and o.doubted and o.first < r.first) unsure_before on true
      left join lateral (
           select min(o.since) as since from id_range o where o.market_id = n.m and o.doubted and o.first > r.first) unsure_after on true
      left join last_trade l on l.market_id = n.m and l.last_id = r.last and clock.now is not null
                            and (after.since is null or l.at - id_slack() <= after.since)
      left join lateral (
           -- No id is missing between a range and ids in doubt that touch it: the times of these are its ends.
           select greatest(case when before.touches then before.until else greatest(r.since, before.until) end, unsure_before.until)
                      + id_slack() as start,
                  least(least(case when after.touches then after.since else least(greatest(r.until, l.at - id_slack()), after.since) end,
                              unsure_after.since) - id_slack(), clock.now) as stop
            where r.first is not null) w on true;

    with clock as materialized (
        select * from provider_times()
    ), wanted as materialized (
        select u.m, 'ids/' || u.first as feed, u.start, u.stop, coalesce(u.start < u.stop, false) as proves
          from unnest(markets, firsts, starts, stops) u (m, first, start, stop)
    ), known as materialized (
        select w.m, c.feed, c.start, c.stop
          from wanted w
          join coverage c on c.market_id = w.m and c.source = 'live' and c.feed = w.feed and c.resolution = 0
    ), compared as (
        select k.id as m, k.version + 1 as next_version, n.spans - o.spans as gained, o.spans - n.spans as lost, o.spans as before,
               n.spans as now, tstzrange(null, greatest(k.watermark, k.live_stop, t.now - stale)) as seen
          from market k
          left join clock t on t.provider = k.provider
         cross join lateral (
               select coalesce(range_agg(tstzrange(w.start, w.stop)), '{}') as spans from wanted w where w.m = k.id and w.proves) n
         cross join lateral (select coalesce(range_agg(tstzrange(x.start, x.stop)), '{}') as spans from known x where x.m = k.id) o
         where k.id in (select w.m from wanted w)
    ), judged as materialized (
        select c.*, not isempty(c.lost) or not isempty(c.gained * tstzmultirange(c.seen)) or exists (
                   select from unnest(c.now) r (span) where not c.before @> lower(r.span)) as shows
          from compared c
         where not isempty(c.gained) or not isempty(c.lost)
    ), dropped as (
        delete from coverage c using known x, wanted w
         where c.market_id = x.m and c.source = 'live' and c.feed = x.feed and c.resolution = 0 and c.start = x.start
           and w.m = x.m and w.feed = x.feed and not (w.proves and w.start = x.start)
    ), written as (
        insert into coverage as c (market_id, source, feed, resolution, start, stop, proof, version)
        select w.m, 'live', w.feed, 0, w.start, w.stop, 'ids', case when j.shows then j.next_version else 0 end
          from wanted w
          left join known x on x.m = w.m and x.feed = w.feed
          left join judged j on j.m = w.m
         where w.proves and (w.start, w.stop) is distinct from (x.start, x.stop)
        on conflict (market_id, source, feed, resolution, start) do update
           set stop = excluded.stop, reason = null, code = null, version = greatest(c.version, excluded.version)
    ), noted as (
        insert into coverage_change (market_id, version, what, resolution, start, stop)
        select j.m, j.next_version, 'live', 0, lower(r.span), upper(r.span)
          from judged j cross join lateral unnest(j.gained + j.lost) r (span) where j.shows
    )
    select array_agg(j.m), array_agg(j.shows), array_agg(upper(j.now)), array_agg(coalesce(l.seconds, 0))
      into changed, visible, newest, lost_seconds
      from judged j
     cross join lateral (
           select sum(extract(epoch from upper(r.span) - lower(r.span)))::float8 as seconds from unnest(j.lost) r (span)) l;

    update market k set live_stop = greatest(k.live_stop, u.newest)
      from unnest(changed, newest) u (m, newest) where k.id = u.m and u.newest > coalesce(k.live_stop, '-infinity');
    update market k
       set live_stop = x.left_stop,
           watermark = least(k.watermark, market_watermark(k.provider, null, x.left_stop, behind_since(k.id, k.symbol, x.left_stop), stale))
      from unnest(changed, lost_seconds) u (m, lost_s)
     cross join lateral (
           select max(c.stop) as left_stop from coverage c where c.market_id = u.m and c.source = 'live' and c.resolution = 0) x
     where k.id = u.m and u.lost_s > 0;
    return query select * from unnest(changed, visible, lost_seconds);
end $$;

-- Take ids out of the ranges: their trades are gone, or in doubt. None of the missing was traded outside of [low, high].
-- `doubted`: they are kept apart for good, so that they neither count as stored nor are asked for again; what is left
-- around them is bounded by their times, and its own are only known to lie within those of the whole. Return the keys of
-- all of it, for prove_ids.
create or replace function take_out_ids(for_market int, f bigint, l bigint, low timestamptz, high timestamptz, doubted boolean)
returns bigint[] language plpgsql as $$
#variable_conflict use_column
declare
    r id_range;
    keys bigint[] := '{}';
begin
    for r in
        delete from id_range i
         where i.market_id = for_market and not i.doubted and i.last >= f
           and i.first between coalesce((select x.first from id_range x where x.market_id = for_market and x.first <= f order by x.first desc limit 1), f) and l
        returning i.*
    loop
        insert into id_range (market_id, first, last, since, until, doubted)
        select for_market, x.first, x.last, x.since, x.until, x.doubted
          from (values (r.first, f - 1, r.since, case when take_out_ids.doubted then r.until else least(r.until, low) end, false),
                       (greatest(r.first, f), least(r.last, l), low, high, take_out_ids.doubted),
                       (l + 1, r.last, case when take_out_ids.doubted then r.since else greatest(r.since, high) end, r.until, false)) x (first, last, since, until, doubted)
         where x.first <= x.last and (x.doubted or x.last < f or x.first > l);
        keys := keys || array[r.first, greatest(r.first, f), l + 1];
    end loop;
    return keys;
end $$;

-- Another trade came under ids that are held, at this time: nobody can say which is right, so nothing is proven between
-- the times of both.
create or replace function doubt_ids(for_market int, f bigint, l bigint, at timestamptz, stale interval)
returns table (market_id int, shows boolean, lost_s float8) language plpgsql as $$
#variable_conflict use_column
declare
    low timestamptz;
    high timestamptz;
    keys bigint[];
begin
    -- Times that do not follow the ids by far lie beyond those of the range's ends, though hardly by an hour.
    select min(x.ts), max(x.ts) into low, high
      from (select min(least(r.since, r.until)) - interval '1 hour' as since, max(greatest(r.since, r.until)) + interval '1 hour' as until
              from id_range r
             where r.market_id = for_market and r.last >= f
               and r.first between coalesce((select o.first from id_range o where o.market_id = for_market and o.first <= f order by o.first desc limit 1), f) and l) h
     cross join lateral (
           select t.ts from tick t
            where t.market_id = for_market and t.ts >= h.since and t.ts <= h.until and t.last_id >= f and t.first_id <= l
            order by t.ts desc limit l - f + 1) x;
    if low is null then -- deleted by retention, or never stored: no bounds of its time are known but those of its range
        select min(least(r.since, r.until)), max(greatest(r.since, r.until)) into low, high from id_range r where r.market_id = for_market and r.last >= f and r.first <= l;
    end if;
    keys := take_out_ids(for_market, f, l, least(low, at), greatest(high, at), true);
    select keys || array_agg(r.first) into keys
      from id_range r
     where r.market_id = for_market and r.since <= greatest(high, at) + 2 * id_slack() and r.until >= least(low, at) - 2 * id_slack();
    return query select * from prove_ids(array_fill(for_market, array[cardinality(keys)]), keys, stale);
end $$;

-- The ids of [f, t) that are missing between stored ones, or behind the newest as the venue said more than once, and
-- between which times they were traded; and those in doubt, for which two different trades came.
create or replace function id_gaps(for_market int, f timestamptz, t timestamptz)
returns table (first bigint, last bigint, low timestamptz, high timestamptz, doubted boolean) language sql stable as $$
    with held as (
        select r.*, lead(r.first) over w as next_first, lead(r.since) over w as next_since
          from id_range r
         where r.market_id = for_market
           and r.first >= coalesce((select o.first from id_range o where o.market_id = for_market and o.since <= f order by o.since desc limit 1), 0)
           and r.first <= coalesce((select o.first from id_range o where o.market_id = for_market and o.since >= t order by o.since limit 1), 9223372036854775807)
        window w as (order by r.first)
    ), gap as (
        select h.last + 1 as first, h.next_first - 1 as last, least(h.until, h.next_since) - id_slack() as low,
               greatest(h.until, h.next_since) + id_slack() as high, false as doubted
          from held h where h.next_first > h.last + 1
        union all
        select h.first, h.last, h.since - id_slack(), h.until + id_slack(), true from held h where h.doubted
        union all
        -- One that is said once may be ahead of trades that are on their way.
        select n.last + 1, s.last_id, n.until - id_slack(), s.since + id_slack(), false
          from (select r.last, r.until from id_range r where r.market_id = for_market order by r.first desc limit 1) n
         cross join lateral (
               select l.last_id, l.since from last_trade l
                where l.market_id = for_market and l.last_id > n.last
                  and (l.at > l.since or l.at < (select max(o.at) from last_trade o where o.market_id = for_market))
                order by l.last_id desc limit 1) s
    )
    select * from gap g where g.low < t and g.high > f order by g.first
$$;
