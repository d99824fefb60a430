-- This returns the provider's numbers too from now on; it is made again after every migrate.
drop function if exists lock_markets(text[], text[], text[], interval);
