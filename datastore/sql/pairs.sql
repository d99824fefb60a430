-- name: take
-- Take the provider's whole list (parallel arrays): what it no longer holds becomes inactive, and markets that have a
-- row take over the provider's spelling. One statement, so that no reader sees half a list.
with listed as (
    select * from unnest(%(symbols)s::text[], %(exchanges)s::text[], %(bases)s::text[], %(quotes)s::text[],
                         %(provider_exchanges)s::text[], %(provider_bases)s::text[], %(provider_quotes)s::text[])
             as u (symbol, exchange, base, quote, provider_exchange, provider_base, provider_quote)
), written as (
    insert into pair as p (symbol, exchange, base, quote, joined, provider_exchange, provider_base, provider_quote, active, seen_at)
    select l.symbol, l.exchange, l.base, l.quote, l.base || l.quote, l.provider_exchange, l.provider_base, l.provider_quote,
           true, clock_timestamp()
      from listed l
    on conflict (symbol) do update
       set provider_exchange = excluded.provider_exchange, provider_base = excluded.provider_base,
           provider_quote = excluded.provider_quote, active = true, seen_at = excluded.seen_at
    returning (xmax = 0) as is_new
), vanished as (
    update pair p set active = false
     where p.active and not exists (select from listed l where l.symbol = p.symbol)
    returning 1
), spelled as (
    update market m
       set provider_exchange = l.provider_exchange, provider_base = l.provider_base, provider_quote = l.provider_quote
      from listed l
     where m.symbol = l.symbol
       and (m.provider_exchange, m.provider_base, m.provider_quote)
           is distinct from (l.provider_exchange, l.provider_base, l.provider_quote)
    returning 1
)
select (select count(*) filter (where is_new) from written), (select count(*) from vanished), (select count(*) from spelled);

-- name: spelled
-- Active pairs and markets whose base and quote, written together, are these.
select symbol from pair where joined = %(joined)s and active
union
select symbol from market where base || quote = %(joined)s;

-- name: near
-- Pairs and markets that may be meant by a name that none has, the likeliest first: the same pair elsewhere, one of the
-- named exchange that begins alike, one of any exchange that begins alike, one of the named exchange in the same quote.
-- Looking closer is the caller's part.
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
