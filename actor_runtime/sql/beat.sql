-- Renew heartbeats. No row comes back for an actor that another process took over.
UPDATE {table} AS actor
SET heartbeat_at = (SELECT steady_now()), waiting_for = wanted.waiting_for
FROM unnest(%(names)s::text[], %(epochs)s::bigint[], %(waits)s::text[]) AS wanted (name, epoch, waiting_for)
WHERE actor.name = wanted.name AND actor.epoch = wanted.epoch
RETURNING actor.name, (SELECT set_config('synchronous_commit', 'off', true))
