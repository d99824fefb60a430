-- name: to_do
-- The work due on topics and streams, by steady time, as (what, id): all that the Coordinator reads for it.
select 'in hand', t.id from dynamic_topic t where t.state in ('creating', 'notifying')
union all
(select 'due', s.id from stream s
  where s.state = 'requested' and (s.next_try is null or s.next_try <= (select steady_now()))
    and not exists (select from dynamic_topic t where t.market_id = s.market_id and t.state in ('creating', 'notifying', 'live'))
  order by s.id limit 1)
union all
select 'waiting', s.id from stream s
  join dynamic_topic t on t.market_id = s.market_id and t.state in ('creating', 'notifying', 'live')
 where s.state = 'requested' and (s.topic_id is distinct from t.id or t.state = 'live')
union all
select 'astray', s.id from stream s left join dynamic_topic t on t.id = s.topic_id
 where s.state = 'live' and t.state is distinct from 'live'
union all
(select 'alive', s.id from stream s where s.state in ('requested', 'live') limit 1)
union all
(select 'alive', t.id from dynamic_topic t where t.state in ('creating', 'notifying', 'live', 'retiring') limit 1)
union all
select 'expired', s.id from stream s where s.state in ('requested', 'live') and s.lease_until < (select steady_now())
union all
select 'broken', t.id from dynamic_topic t
 where t.state = 'live' and (t.route_error is not null or t.subscribe_error is not null)
union all
select 'unused', t.id from dynamic_topic t
 where t.state = 'live'
   and not exists (select from stream s where s.market_id = t.market_id and s.state in ('requested', 'live'))
union all
-- Ready to be deleted: the actors that know of the topic have ended their part, or did not report it in time. A topic
-- that no Producer answered for may still be made late, so it is deleted only when that is no longer possible.
(select 'over', t.id from dynamic_topic t
  where t.state = 'retiring'
    and case when t.notified_at is null
             then t.created_at is not null or t.create_error is not null
                  or t.retiring_at < (select steady_now()) - %(patience)s
             else (t.route_ended_at is not null or t.retiring_at < (select steady_now()) - %(patience)s)
                  and (t.drained_at is not null
                       or coalesce(t.route_ended_at, t.retiring_at + %(patience)s) < (select steady_now()) - %(patience)s)
        end
  order by t.id limit %(limit)s);

-- name: attach
-- Give waiting streams the alive topic of their market; if it is live, so are they.
update stream s
   set topic_id = t.id,
       state = case when t.state = 'live' then 'live' else s.state end,
       live_at = case when t.state = 'live' then (select steady_now()) end,
       attempts = case when t.state = 'live' then 0 else s.attempts end,
       error = case when t.state = 'live' then null else s.error end,
       next_try = null
  from dynamic_topic t
 where t.market_id = s.market_id and t.state in ('creating', 'notifying', 'live')
   and s.state = 'requested' and (s.topic_id is distinct from t.id or t.state = 'live');

-- name: recall
-- Request streams again that are live on a topic that is not: it ended while they joined it.
update stream s
   set state = 'requested', live_at = null, next_try = null
 where s.state = 'live'
   and not exists (select from dynamic_topic t where t.id = s.topic_id and t.state = 'live');

-- name: progress
-- How far the data of streams is: milliseconds of their topic that the broker has acknowledged and no consumer has
-- stored (null: nothing was acknowledged yet), and the newest minute with trades, in microseconds, with its close.
select s.id,
       (select max(case when f.drained_at >= f.acknowledged_at then 0
                        else greatest(extract(epoch from f.acknowledged_until - coalesce(p.stop, f.behind_since)) * 1000, 0)
                   end)::bigint
          from feed f
          left join feed_position p on p.market_id = s.market_id and p.feed = f.feed
         where f.topic = t.name),
       micros(newest.open_time), trim_scale(newest.close)::text
  from stream s
  left join dynamic_topic t on t.id = s.topic_id
  left join lateral (
       select c.open_time, c.close from candle c
        where c.market_id = s.market_id and c.resolution = 60 and c.trades > 0
        order by c.open_time desc limit 1) newest on true
 where s.id = any (%(ids)s);
