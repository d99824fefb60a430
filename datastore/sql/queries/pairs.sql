-- name: take
-- Save the provider's whole list (parallel arrays); pairs that it lacks become inactive. One statement, so that no reader
-- sees half a list.
with listed as (
    select * from unnest(%(symbols)s::text[], %(exchanges)s::text[], %(bases)s::text[], %(quotes)s::text[],
                         %(provider_exchanges)s::text[], %(provider_bases)s::text[], %(provider_quotes)s::text[])
             as u (symbol, exchange, base, quote, provider_exchange, provider_base, provider_quote)
), written as (
    insert into pair as p (symbol, exchange, base, quote, joined, provider_exchange, provider_base, provider_quote, active, seen_at)
    select l.symbol, l.exchange, l.base, l.quote, l.base || l.quote, l.provider_exchange, l.provider_base, l.provider_quote,
           true, steady_now()
      from listed l
    on conflict (symbol) do update
       set provider_exchange = excluded.provider_exchange, provider_base = excluded.provider_base,
           provider_quote = excluded.provider_quote, active = true, seen_at = excluded.seen_at
    returning (xmax = 0) as is_new
), vanished as (
    update pair p set active = false
     where p.active and not exists (select from listed l where l.symbol = p.symbol)
    returning 1
)
select (select count(*) filter (where is_new) from written), (select count(*) from vanished);

-- name: spell
-- Give existing markets the provider's spelling. They are locked in the order of their ids, as in every write.
with due as (
    select m.id, p.provider_exchange, p.provider_base, p.provider_quote
      from market m
      join pair p on p.symbol = m.symbol and p.active
     where (m.provider_exchange, m.provider_base, m.provider_quote)
           is distinct from (p.provider_exchange, p.provider_base, p.provider_quote)
     order by m.id
       for no key update of m
), spelled as (
    update market m
       set provider_exchange = d.provider_exchange, provider_base = d.provider_base, provider_quote = d.provider_quote
      from due d
     where m.id = d.id
    returning 1
)
select count(*) from spelled;

-- name: spelled
-- Active pairs, and markets, whose base and quote joined are this text.
select symbol from pair where joined = %(joined)s and active
union
select symbol from market where base || quote = %(joined)s;

-- name: near
-- Pairs and markets that an unknown name may mean, the likeliest first: the same pair at another exchange, a similar
-- beginning at the named exchange, a similar beginning at any, the same end (quote) at the named exchange. The caller
-- compares more closely.
select symbol
  from (select symbol, exchange, joined from pair where active
        union
        select symbol, exchange, base || quote from market) known
 cross join lateral (
       select case when joined = %(joined)s then 1
                   when exchange = %(exchange)s and joined like %(begins)s then 2
                   when joined like %(begins_longer)s then 3
                   when exchange = %(exchange)s and joined like %(ends)s then 4 end as rank) r
 where rank is not null
 order by rank, abs(length(joined) - length(%(joined)s)), symbol
 limit %(limit)s;
