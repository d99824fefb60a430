-- name: steps
-- The smallest steps of price and amount of markets: as their provider lists them; else the finest digit of the newest
-- minutes, ours and the provider's. NULL for a market without either.
select m.id, coalesce(p.price_step, trim_scale(power(10::numeric, -seen.price))),
       coalesce(p.amount_step, trim_scale(power(10::numeric, -seen.amount)))
  from market m
  left join pair p on p.symbol = m.symbol and p.provider = m.provider
  left join lateral (
       select max(greatest(min_scale(x.open), min_scale(x.high), min_scale(x.low), min_scale(x.close))) as price,
              max(min_scale(x.volume)) as amount
         from ((select c.open, c.high, c.low, c.close, c.volume from candle c
                 where c.market_id = m.id and c.resolution = 60 and c.trades > 0
                 order by c.open_time desc limit %(minutes)s)
               union all
               (select c.open, c.high, c.low, c.close, c.volume from provider_candle c
                 where c.market_id = m.id and c.resolution = 60
                 order by c.open_time desc limit %(minutes)s)) x) seen on p.price_step is null or p.amount_step is null
 where m.id = any(%(ids)s);

-- name: digits
-- The most digits behind the point in the candles of a market that changed after a version, ours and the provider's.
select coalesce(max(greatest(scale(x.open), scale(x.high), scale(x.low), scale(x.close))), 0), coalesce(max(scale(x.volume)), 0),
       coalesce(max(scale(x.quote_volume)), 0)
  from (select c.open, c.high, c.low, c.close, c.volume, c.quote_volume from candle c
         where c.market_id = %(market)s and c.version > %(after)s
        union all
        select c.open, c.high, c.low, c.close, c.volume, c.quote_volume from provider_candle c
         where c.market_id = %(market)s and c.version > %(after)s) x;
