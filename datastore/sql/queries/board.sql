-- name: closes
-- The close of each quarter of an hour of a day, of many markets, for drawing: ours, else the provider's. Index probes: a
-- quarter takes two, whatever was traded in it.
select w.market_id, array_agg(p.close order by g.slot) filter (where p.close is not null)
  from unnest(%(ids)s::int[], %(starts)s::timestamptz[]) w (market_id, start)
 cross join generate_series(1, 96) g (slot)
 cross join lateral (select w.start + g.slot * interval '15 minutes' as stop) t
 cross join lateral (
       select coalesce(
              (select c.close from candle c
                where c.market_id = w.market_id and c.resolution = 60 and c.trades > 0
                  and c.open_time >= t.stop - interval '15 minutes' and c.open_time < t.stop
                order by c.open_time desc limit 1),
              (select q.close from provider_candle q
                where q.market_id = w.market_id and q.resolution = 60
                  and q.open_time >= t.stop - interval '15 minutes' and q.open_time < t.stop
                order by q.open_time desc limit 1))::float8 as close) p
 group by w.market_id;

-- name: silences
-- Stretches of more than a minute without a traded minute, of many markets, in microseconds; the day's edges count as
-- traded.
select market_id, micros(until) + 60000000, micros(next)
  from (select m.market_id, m.at as until, lead(m.at) over (partition by m.market_id order by m.at) as next
          from (select w.market_id, x.at
                  from unnest(%(ids)s::int[], %(starts)s::timestamptz[], %(stops)s::timestamptz[]) w (market_id, start, stop)
                 cross join lateral (
                       select c.open_time as at from candle c
                        where c.market_id = w.market_id and c.resolution = 60 and c.trades > 0
                          and c.open_time >= w.start and c.open_time < w.stop
                       union
                       select q.open_time from provider_candle q
                        where q.market_id = w.market_id and q.resolution = 60
                          and q.open_time >= w.start and q.open_time < w.stop
                       union
                       select w.start - interval '1 minute'
                       union
                       select w.stop) x) m) n
 where next > until + interval '1 minute';

-- name: trade_rate
-- Trades per second of many markets together, each in a minute of its own provider's time.
select coalesce(sum(c.trades), 0)::float / 60
  from unnest(%(ids)s::int[], %(minutes)s::timestamptz[]) w (market_id, minute)
  join candle c on c.market_id = w.market_id and c.resolution = 60 and c.open_time = w.minute;
