-- name: ages
-- How far each followed market's watermark, feed and comparison with the provider are behind the provider's time, seconds.
-- A comparison that found nothing to compare does not count.
select m.symbol,
       extract(epoch from provider_now() - market_watermark(
           m.watermark, m.live_stop, behind_since(m.id, m.symbol, m.live_stop), %(stale)s))::float,
       extract(epoch from provider_now() - m.live_stop)::float,
       extract(epoch from provider_now() - (select max(r.stop) from reconciliation r where r.market_id = m.id and r.compared > 0))::float
  from market m
 where m.followed
 order by m.symbol;

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

-- name: dead_letters
-- Topics made at run time count as one (streaming.topics.label).
select case when starts_with(topic, 'dyn-') then 'dynamic' else topic end, count(*) from dead_letter group by 1 order by 1;

-- name: oldest_fetch
-- Age of the oldest active request for history in seconds; 0 if there is none.
select coalesce(extract(epoch from statement_timestamp() - min(created_at)), 0)::float
  from fetch_request
 where state in ('queued', 'fetching', 'published')
