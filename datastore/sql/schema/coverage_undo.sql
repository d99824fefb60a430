drop function settle(int[], int[], jsonb, jsonb, interval);
drop function bridge_start(int, timestamptz, timestamptz, jsonb);
drop function lock_markets(text[], text[], text[], interval);
