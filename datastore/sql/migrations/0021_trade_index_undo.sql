alter table tick add constraint tick_pkey primary key (market_id, ts, trade_id);
drop index if exists tick_market_ts
