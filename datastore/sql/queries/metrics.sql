-- name: proven
-- Each followed market: its id and symbol, up to when its feed has proven anything (NULL: never), how many seconds of the
-- provider's time ago that was, whether a feed of it has an open span, and why and since when the provider refuses it.
-- Waiting proves nothing, so this is not the watermark, which goes on without a feed.
select m.id, m.symbol, m.live_stop, extract(epoch from coalesce(p.now, statement_timestamp()) - m.live_stop)::float,
       exists (select from feed_position f where f.market_id = m.id and f.start is not null),
       m.refusal, m.refused_since, m.provider
  from market m
  left join provider_times() p on p.provider = m.provider
 where m.followed
 order by m.symbol;

-- name: ages
-- How far each followed market's newest proven instant and comparison with the provider are behind the provider's time,
-- in seconds. A comparison that found nothing to compare does not count.
select p.symbol,
       extract(epoch from p.now - p.live_stop)::float,
       extract(epoch from p.now - (select max(r.stop) from reconciliation r where r.market_id = p.id and r.compared > 0))::float
  from (select k.*, coalesce(t.now, statement_timestamp()) as now
          from market k left join provider_times() t on t.provider = k.provider) p
 where p.followed
 order by p.symbol;

-- name: gaps
-- Gaps by market, resolution and whether they are final (the provider has nothing); 0 for a market without any.
select m.symbol, r.resolution, f.final, count(g.id), coalesce(extract(epoch from sum(g.stop - g.start)), 0)::float
  from market m
 cross join (values (60), (3600), (86400)) as r (resolution)
 cross join (values (false), (true)) as f (final)
  left join gap_repair g on g.market_id = m.id and g.resolution = r.resolution and g.final = f.final
 where m.followed or g.id is not null
 group by m.symbol, r.resolution, f.final
 order by m.symbol, r.resolution, f.final;

-- name: proofs
-- What the newest proven instant of each followed market rests on; NULL: nothing was ever proven.
select symbol, live_proof(id, live_stop) from market where followed order by symbol;

-- name: gap_reasons
-- Gaps of all markets by the kind of their reason.
select code, count(*) from gap_repair group by 1 order by 1;

-- name: dead_letters
-- Topics made at run time count as one (streaming.topics.label).
select case when starts_with(topic, 'dyn-') then 'dynamic' else topic end, count(*) from dead_letter group by 1 order by 1;

-- name: oldest_fetch
-- Age of the oldest active request for history in seconds; 0 if there is none.
select coalesce(extract(epoch from statement_timestamp() - min(created_at)), 0)::float
  from fetch_request
 where state in ('queued', 'fetching', 'published');

-- name: rows
-- About how many rows a table has, as the planner believes; of a hypertable the rows of its chunks.
select coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
  from pg_class c
 where c.oid = to_regclass(%(table)s)
    or c.oid in (select i.inhrelid from pg_inherits i where i.inhparent = to_regclass(%(table)s));
