-- What was proven before changes were noted is noted whole, once: whoever holds an older cursor is shown too much of it
-- again, never too little.
insert into coverage_change (market_id, version, what, resolution, start, stop)
select market_id, version, source, resolution, start, stop from coverage where version > 0;
