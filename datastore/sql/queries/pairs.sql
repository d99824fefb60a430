-- name: take
-- Save a provider's whole list (parallel arrays); its pairs that the list lacks become inactive. One statement, so that no
-- reader sees half a list.
with listed as (
    select * from unnest(%(symbols)s::text[], %(exchanges)s::text[], %(bases)s::text[], %(quotes)s::text[],
                         %(joined)s::text[],
                         %(provider_exchanges)s::text[], %(provider_bases)s::text[], %(provider_quotes)s::text[],
                         %(price_steps)s::numeric[], %(amount_steps)s::numeric[])
             as u (symbol, exchange, base, quote, joined, provider_exchange, provider_base, provider_quote, price_step, amount_step)
), written as (
    insert into pair as p (symbol, exchange, base, quote, joined, provider_exchange, provider_base, provider_quote, price_step, amount_step, provider, active, seen_at)
    select l.symbol, l.exchange, l.base, l.quote, l.joined, l.provider_exchange, l.provider_base, l.provider_quote,
           l.price_step, l.amount_step, %(provider)s, true, steady_now()
      from listed l
    on conflict (symbol) do update
       set joined = excluded.joined, provider_exchange = excluded.provider_exchange, provider_base = excluded.provider_base,
           provider_quote = excluded.provider_quote, price_step = excluded.price_step, amount_step = excluded.amount_step,
           provider = excluded.provider, active = true, seen_at = excluded.seen_at
    returning (xmax = 0) as is_new
), vanished as (
    update pair p set active = false
     where p.active and p.provider = %(provider)s and not exists (select from listed l where l.symbol = p.symbol)
    returning 1
)
select (select count(*) filter (where is_new) from written), (select count(*) from vanished);

-- name: spell
-- Give markets, which are locked, the provider's spelling (parallel arrays). One that has data keeps its base and quote:
-- another spelling is another pair's. The case of an exchange is not part of its name.
with spelled as (
    update market m
       set provider_exchange = u.provider_exchange, provider_base = u.provider_base, provider_quote = u.provider_quote
      from unnest(%(symbols)s::text[], %(provider_exchanges)s::text[], %(provider_bases)s::text[], %(provider_quotes)s::text[])
           as u (symbol, provider_exchange, provider_base, provider_quote)
     where m.symbol = u.symbol
       and ((m.provider_base, m.provider_quote) = (u.provider_base, u.provider_quote)
            or not exists (select from coverage c where c.market_id = m.id)
               and not exists (select from candle c where c.market_id = m.id)
               and not exists (select from provider_candle p where p.market_id = m.id)
               and not exists (select from tick t where t.market_id = m.id))
    returning 1
)
select count(*) from spelled;

-- name: spelled
-- Active pairs, and markets, whose base and quote joined are one of these texts in upper case, each with its text.
select joined, symbol from pair where joined = any(%(joined)s) and active
union
select upper(base || quote), symbol from market where upper(base || quote) = any(%(joined)s);

-- name: near
-- Pairs and markets that an unknown name may mean, the likeliest first: the same pair at another exchange, a similar
-- beginning at the named exchange, a similar beginning at any, the same end (quote) at the named exchange. The caller
-- compares more closely.
select symbol
  from (select symbol, exchange, joined from pair where active
        union
        select symbol, exchange, upper(base || quote) from market) known
 cross join lateral (
       select case when joined = %(joined)s then 1
                   when exchange = %(exchange)s and joined like %(begins)s then 2
                   when joined like %(begins_longer)s then 3
                   when exchange = %(exchange)s and joined like %(ends)s then 4 end as rank) r
 where rank is not null
 order by rank, abs(length(joined) - length(%(joined)s)), symbol
 limit %(limit)s;

-- name: search
-- Markets, and active pairs, whose base and quote joined hold a text (escaped for LIKE), at one exchange or any: followed
-- ones first, then those that begin with it, the shortest first.
select symbol
  from (select symbol, exchange, joined, false as followed from pair p
         where active and not exists (select from market m where m.symbol = p.symbol)
        union all
        select symbol, exchange, upper(base || quote), followed from market) known
 where joined like '%%' || %(joined)s || '%%' and (%(exchange)s = '' or exchange = %(exchange)s)
 order by followed desc, joined not like %(joined)s || '%%', length(joined), symbol
 limit %(limit)s;
