-- The write of trades: each is stored once, and the candles that it touches are made in the same statement
-- (candles.sql). Every function here works under the lock of its markets.

-- Whether none of these trades (arrays as for ingest; since: for each of `ids` the time of its oldest trade) is stored
-- already. False also where so much is stored after that time that looking costs more than it would save.
create or replace function all_new(ids int[], since bigint[], market_places int[], at bigint[], trade_ids text[]) returns boolean language plpgsql stable as $$
declare
    most constant int := 200; -- trades of a market that are looked at
    markets int[];
    times bigint[];
    known text[];
    latest bigint;
begin
    select array_agg(x.market_id), array_agg(micros(x.ts)), array_agg(x.trade_id), max(micros(x.ts)) into markets, times, known, latest
      from unnest(ids, since) s (m, at)
     cross join lateral (
           select t.market_id, t.ts, t.trade_id from tick t where t.market_id = s.m and t.ts >= instant(s.at) order by t.ts limit most) x;
    return markets is null
           or not exists (select from unnest(markets) x (m) group by x.m having count(*) >= most)
              and not exists (select from unnest(market_places, at, trade_ids) u (market_place, at, id)
                                join unnest(markets, times, known) k (m, at, id) on k.m = ids[u.market_place] and k.at = u.at and k.id = u.id
                               where u.at <= latest);
end $$;

-- Store trades (parallel arrays; times in microseconds; market_places: each one's place in `ids`) and make their candles; return
-- per market how many were new, whether an answer changed, and how many seconds the provider had called quiet where they
-- are. A trade already stored keeps its first time of receipt. since: given if no trade comes twice here, the time of the
-- oldest of each of `ids`; then a look at what is stored since may show that none of them is.
-- No index says that a trade is stored once (one that did would take two to three times the space): this function sees
-- to it, the only one that inserts trades. So it takes the locks of its markets itself, and looks only once it has them.
create or replace function ingest(ids int[], market_places int[], at bigint[], seqs bigint[], sides smallint[], trade_ids text[], prices numeric[], amounts numeric[], received bigint[], firsts bigint[], lasts bigint[], since bigint[])
returns table (market_id int, added bigint, changed boolean, lost_s float8) language plpgsql as $$
#variable_conflict use_column
declare
    none_known boolean;
    oldest timestamptz;
    latest timestamptz;
    m int[];
    t timestamptz[];
    n int[];
    high numeric[];
    low numeric[];
    volume numeric[];
    quote_volume numeric[];
    touched int[];
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise 'trades are stored at read committed only: another level would not see what others have just stored';
    end if;
    perform 1 from market k where k.id = any (ids) order by k.id for no key update;
    none_known := since is not null and all_new(ids, since, market_places, at, trade_ids);
    if not none_known then -- where trades lie in chunks, only those of these times are searched
        select instant(min(x)), instant(max(x)) into oldest, latest from unnest(at) x;
    end if;
    with given as not materialized (
        select ids[u.market_place] as market_id, instant(u.at) as ts, u.id, u.seq, u.side, trim_scale(u.price) as price, trim_scale(u.amount) as amount,
               instant(u.received) as received_at, u.first, u.last, u.place
          from unnest(market_places, at, seqs, sides, trade_ids, prices, amounts, received, firsts, lasts) with ordinality
               u (market_place, at, seq, side, id, price, amount, received, first, last, place)
    ), added as (
        insert into tick (market_id, ts, trade_id, seq, side, price, amount, received_at, first_id, last_id)
        select g.market_id, g.ts, g.id, g.seq, g.side, g.price, g.amount, g.received_at, g.first, g.last from given g where none_known
        returning market_id, ts, price, amount
    ), tried as (
        insert into tick (market_id, ts, trade_id, seq, side, price, amount, received_at, first_id, last_id)
        select g.market_id, g.ts, g.id, g.seq, g.side, g.price, g.amount, g.received_at, g.first, g.last
          from (select distinct on (market_id, ts, id) * from given where not none_known order by market_id, ts, id, place) g
          left join lateral (
               select true as known from tick k
                where k.market_id = g.market_id and k.ts = g.ts and k.trade_id = g.id and k.ts >= oldest and k.ts <= latest limit 1) s on true
         where s.known is null
        returning market_id, ts, price, amount
    ), new as (
        select * from added union all select * from tried
    ), gain as (
        select new.market_id, bucket(60, new.ts) as t, max(price) as high, min(price) as low,
               sum(amount) as volume, sum(price * amount) as quote_volume, count(*)::int as n
          from new group by 1, 2
    )
    select array_agg(g.market_id), array_agg(g.t), array_agg(g.high), array_agg(g.low), array_agg(g.volume),
           array_agg(g.quote_volume), array_agg(g.n)
      into m, t, high, low, volume, quote_volume, n from gain g;
    if m is null then
        return;
    end if;
    touched := add_to_candles(m, t, high, low, volume, quote_volume, n);
    return query
        with uncovered as materialized (
            select u.market_id, sum(u.seconds) as seconds from uncover_traded(m, array_fill(0, array[cardinality(m)]), t) u group by 1
        )
        select u.m, sum(u.n)::bigint, u.m in (select unnest(touched)) or max(x.seconds) is not null, coalesce(max(x.seconds), 0)
          from unnest(m, n) u (m, n)
          left join uncovered x on x.market_id = u.m
         group by 1;
end $$;

-- Take one trade back; its minute, hour and day are made again, and its ids are not stored any more. False where it is
-- not stored.
create or replace function cancel(for_market int, at timestamptz, id text, stale interval) returns boolean language plpgsql as $$
#variable_conflict use_column
declare
    first bigint;
    last bigint;
    keys bigint[];
    proven boolean;
    changed boolean;
begin
    perform lock_market(for_market);
    delete from tick t where t.market_id = for_market and t.ts = at and t.trade_id = cancel.id returning t.first_id, t.last_id into first, last;
    if not found then
        return false;
    end if;
    keys := take_out_ids(for_market, first, last, at, at, false);
    select bool_or(p.shows) into proven from prove_ids(array_fill(for_market, array[cardinality(keys)]), keys, stale) p;
    changed := renew(for_market, array[bucket(60, at)]);
    update market set version = version + 1 where id = for_market and proven and not changed;
    return changed or coalesce(proven, false);
end $$;
