-- The provider's time, and up to where a market is known.

-- Each provider's time now, as far as it is known: steady time and how far the provider is from it. A provider is here
-- once a stamp of its was believed in this boot of the database's machine, and its time goes back if the Producer finds
-- that it was wrong.
create or replace function provider_times() returns table (provider text, now timestamptz, certain_until timestamptz) language sql stable as $$
    select c.provider, steady_now() + c.clock_offset, c.certain_until from provider_clock c where c.clock_offset is not null;
$$;

-- Whether a provider's time is known; where it is not, the database's clock is used.
create or replace function provider_time_known(by text) returns boolean language sql stable
return exists (select from provider_clock where provider = by and clock_offset is not null);

create or replace function provider_now(by text) returns timestamptz language sql stable
return coalesce((select steady_now() + clock_offset from provider_clock where provider = by and clock_offset is not null), statement_timestamp());

-- The time of what concerns no market alone, such as a day's quota: that of the provider that is furthest behind.
create or replace function provider_now() returns timestamptz language sql stable
return coalesce((select steady_now() + min(clock_offset) from provider_clock), statement_timestamp());

-- Since when (provider's time) records of this market lie acknowledged in a topic that nobody has read to its end;
-- null where nothing is behind. A feed that names no markets speaks for all that its topic ever brought.
create or replace function behind_since(for_market int, symbol text, live_stop timestamptz) returns timestamptz language sql stable
return (select min(f.behind_since) from feed f
         where (f.drained_at is null or f.drained_at < f.acknowledged_at)
           and (live_stop is null or f.acknowledged_until > live_stop)
           and (f.markets ? symbol
                or f.markets = '[]' and exists (select from feed_position p where p.market_id = for_market and p.topic = f.topic)));

-- The same for many markets at once: for each of them and each feed that carries it and is not read to its end, up to when
-- the broker acknowledged the feed's records, and since when they are behind. A feed's list of markets is long, and
-- opened once here, where a search for one market opens it each time.
create or replace function unread_feeds(ids int[]) returns table (market_id int, acknowledged_until timestamptz, behind_since timestamptz)
language plpgsql stable as $$
#variable_conflict use_column
begin
    if not exists (select from feed f where f.drained_at is null or f.drained_at < f.acknowledged_at) then
        return;
    end if;
    return query
        with unread as materialized (
            select * from feed f where f.drained_at is null or f.drained_at < f.acknowledged_at
        )
        select k.id, f.acknowledged_until, f.behind_since
          from unread f
         cross join lateral jsonb_array_elements_text(f.markets) c (symbol)
          join (select m.id, m.symbol from market m where m.id = any (ids)) k on k.symbol = c.symbol
        union all
        select p.market_id, f.acknowledged_until, f.behind_since
          from unread f
          join (select distinct q.market_id, q.topic from feed_position q where q.market_id = any (ids)) p on p.topic = f.topic
         where f.markets = '[]';
end $$;

-- Up to here the market is known: by its feeds, else by waiting long enough for them. While records are behind, the
-- waiting counts up to the time at which they began to be. Never beyond the provider's time, whatever was stored.
create or replace function market_watermark(by text, stored timestamptz, live_stop timestamptz, behind timestamptz, stale interval)
returns timestamptz language sql stable
return case when provider_time_known(by)
            then least(greatest(stored, live_stop, least(provider_now(by), behind) - stale), provider_now(by))
            else greatest(stored, live_stop) end;
