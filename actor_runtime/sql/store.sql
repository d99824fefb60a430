-- Write the rows of actors whose epoch is unchanged, and their transitions, in one round trip.
-- One row comes back, with the names that were written; the others were taken over by another process.
WITH held AS (
    UPDATE {table} AS actor
    SET state = wanted.state,
        epoch = wanted.new_epoch,
        owner = wanted.owner,
        waiting_for = wanted.waiting_for,
        last_error = wanted.last_error,
        last_error_at = wanted.last_error_at,
        recovered_at = wanted.recovered_at,
        error_count = wanted.error_count,
        reset_at = wanted.reset_at,
        retired_at = coalesce(wanted.retired_at, actor.retired_at), -- others retire an actor, its owner only saves it
        heartbeat_at = CASE WHEN wanted.beats THEN (SELECT steady_now()) ELSE actor.heartbeat_at END
    FROM unnest(
        %(names)s::text[], %(epochs)s::bigint[], %(beats)s::bool[], %(states)s::text[], %(new_epochs)s::bigint[],
        %(owners)s::text[], %(waits)s::text[], %(last_errors)s::text[], %(last_error_ats)s::timestamptz[],
        %(recovered_ats)s::timestamptz[], %(error_counts)s::int[],
        %(reset_ats)s::timestamptz[], %(retired_ats)s::timestamptz[]
    ) AS wanted (
        name, epoch, beats, state, new_epoch, owner, waiting_for, last_error, last_error_at, recovered_at, error_count,
        reset_at, retired_at
    )
    WHERE actor.name = wanted.name AND actor.epoch = wanted.epoch
    RETURNING actor.name
), logged AS (
    INSERT INTO transition_log (kind, name, event, source, target, minute, count, first_at, last_at, reason, by)
    SELECT %(kind)s, held.name, entry.event, entry.source, entry.target, entry.minute, entry.count,
           entry.first_at, entry.last_at, entry.reason, entry.by
    FROM held
    JOIN unnest(
        %(actors)s::text[], %(events)s::text[], %(sources)s::text[], %(targets)s::text[], %(minutes)s::timestamptz[],
        %(counts)s::int[], %(firsts)s::timestamptz[], %(lasts)s::timestamptz[], %(reasons)s::text[], %(bys)s::text[]
    ) WITH ORDINALITY AS entry (actor, event, source, target, minute, count, first_at, last_at, reason, by, place)
      ON entry.actor = held.name
    ORDER BY entry.place
    ON CONFLICT (kind, name, event, source, target, minute) DO UPDATE
    SET count = transition_log.count + excluded.count,
        first_at = least(transition_log.first_at, excluded.first_at),
        last_at = greatest(transition_log.last_at, excluded.last_at)
)
-- A state alone may be lost if the server crashes, so it need not wait for the disk. Data transactions keep their setting.
SELECT coalesce(array_agg(held.name::text), '{{}}'),
       CASE WHEN %(relaxed)s THEN set_config('synchronous_commit', 'off', true) END
FROM held
