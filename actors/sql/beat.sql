-- Say that the owner lives; no row comes back where another process took the actor over.
UPDATE {table}
SET heartbeat_at = clock_timestamp(), waiting_for = %(waiting_for)s
WHERE name = %(name)s AND epoch = %(epoch)s
RETURNING state, (SELECT set_config('synchronous_commit', 'off', true))
