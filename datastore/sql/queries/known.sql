-- name: save_clock
insert into provider_clock (provider, identity, simulated, clock_offset, measured_at, certain_until)
select %(provider)s, '', false, %(offset)s, steady_now(), %(certain)s
on conflict (provider) do update
   set clock_offset = excluded.clock_offset, measured_at = excluded.measured_at, certain_until = excluded.certain_until;

-- name: note_acknowledged
-- behind_since stays until a consumer has read the topic to its end: the watermark waits there. A producer reports a
-- moment late: if the topic was deleted by then, nothing is on its way and no consumer will read it again.
insert into feed as f (feed, topic, markets, connected, acknowledged_until, acknowledged_at, behind_since, drained_at)
select %(feed)s, known.topic, to_jsonb(%(markets)s::text[]), %(connected)s, %(until)s, known.at, coalesce(
           (select provider_now(k.provider) from market k where k.symbol = any (%(markets)s::text[]) limit 1), provider_now()),
      
       case when exists (select from dynamic_topic t where t.name = known.topic and t.state = 'retired') then known.at end
  from (select split_part(%(feed)s, '/', 1) as topic, steady_now() as at offset 0) known -- one time, read once
on conflict (feed) do update
   set acknowledged_until = greatest(f.acknowledged_until, excluded.acknowledged_until),
       markets = case when excluded.markets = '[]' then f.markets else excluded.markets end,
       connected = coalesce(excluded.connected, f.connected),
       acknowledged_at = excluded.acknowledged_at,
       drained_at = coalesce(excluded.drained_at, f.drained_at),
       behind_since = case when f.drained_at >= f.acknowledged_at then excluded.behind_since else f.behind_since end
 where excluded.acknowledged_until > f.acknowledged_until;

-- name: acknowledged_until
-- Over the feeds whose topic has not been read to its end; a feed that names no markets counts for all it ever carried.
select max(f.acknowledged_until) from feed f
 where (f.drained_at is null or f.drained_at < f.acknowledged_at)
   and (f.markets ? %(symbol)s
        or f.markets = '[]' and exists (select from feed_position p where p.market_id = %(market)s and p.topic = f.topic));

-- name: unsettled
-- The time, and whether anything waits until this topic is read to its end.
select steady_now(),
       exists (select from feed f where f.topic = %(topic)s and (f.drained_at is null or f.drained_at < f.acknowledged_at))
       or exists (select from fetch_request r where r.state = 'published' and (r.resolution = 0) = %(trades)s);

-- name: note_read
-- Several consumers may report this, not always the newest last.
update feed f set drained_at = greatest(f.drained_at, d.at)
  from unnest(%(topics)s::text[], %(ats)s::timestamptz[]) d (topic, at)
 where f.topic = d.topic and (f.drained_at is null or f.drained_at < f.acknowledged_at);

-- name: surveyed
-- For each market and base resolution: since when it was ever covered or asked for (NULL: never; no later than the
-- watermark), the provider's time, up to where acknowledged claims may wait to be stored, and the database's time.
with unread as materialized (
    select f.market_id, max(f.acknowledged_until) as until from unread_feeds(%(ids)s::int[]) f group by 1
)
select h.market_id, r.resolution, case when k.since is not null then least(k.since, instant(h.watermark)) end, instant(h.now), a.until, statement_timestamp()
  from market_heads(%(ids)s::int[], %(stale)s) h
  left join unread a on a.market_id = h.market_id
 cross join unnest(array[60, 3600, 86400]) r (resolution)
 cross join lateral (
       select least(c.start, f.start) as since
         from (select min(start) as start from coverage
                where market_id = h.market_id
                  and (source = 'live' and resolution = 0 or source = 'provider' and resolution = r.resolution)) c
        cross join (select min(start) as start from fetch_request
                     where market_id = h.market_id and resolution = r.resolution) f) k
 order by h.market_id, r.resolution;

-- name: newest_before
-- The open time of the newest row before a time, ours or the provider's, over all resolutions up to the given one.
select max(x.open_time)
  from unnest(array[60, 3600, 86400]) r (resolution)
 cross join lateral (
       (select c.open_time from candle c
         where c.market_id = %(market)s and c.resolution = r.resolution and c.open_time < %(before)s and c.trades > 0
         order by c.open_time desc limit 1)
       union all
       (select p.open_time from provider_candle p
         where p.market_id = %(market)s and p.resolution = r.resolution and p.open_time < %(before)s
         order by p.open_time desc limit 1)) x
 where r.resolution <= %(resolution)s;

-- name: oldest_from
-- The open time of the oldest row from a time on, ours or the provider's, over all resolutions up to the given one.
select min(x.open_time)
  from unnest(array[60, 3600, 86400]) r (resolution)
 cross join lateral (
       (select c.open_time from candle c
         where c.market_id = %(market)s and c.resolution = r.resolution and c.open_time >= %(from)s and c.trades > 0
         order by c.open_time limit 1)
       union all
       (select p.open_time from provider_candle p
         where p.market_id = %(market)s and p.resolution = r.resolution and p.open_time >= %(from)s
         order by p.open_time limit 1)) x
 where r.resolution <= %(resolution)s;

-- name: missing_ids
-- The missing ids of the named markets, without names of all, as far as their trades would still be taken.
select k.id, h.first, h.last, h.low, h.high
  from market k
  left join provider_times() t on t.provider = k.provider
 cross join lateral (select coalesce(greatest(k.ticks_from, t.now - %(retention)s::interval), '-infinity') as since) o
 cross join lateral id_gaps(k.id, o.since, 'infinity') h
 where (%(ids)s::int[] is null or k.id = any (%(ids)s::int[])) and not h.doubted
 order by k.id, h.first;
