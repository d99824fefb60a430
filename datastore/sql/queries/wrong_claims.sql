-- name: false_claims
-- The markets of a provider, or of all, with live claims after an instant, by default after their provider's time.
select m.id
  from market m
  left join provider_times() p on p.provider = m.provider
 where (%(provider)s::text is null or m.provider = %(provider)s::text)
   and greatest(m.live_stop, m.watermark) > coalesce(%(certain)s::timestamptz, p.now + interval '1 second')
 order by m.id;
