-- name: false_claims
-- The markets with live claims after an instant, by default after the provider's time.
select m.id
  from market m
 cross join (select coalesce(%(certain)s::timestamptz, case when provider_time_known() then provider_now() + interval '1 second' end) as at) p
 where greatest(m.live_stop, m.watermark) > p.at
 order by m.id;
