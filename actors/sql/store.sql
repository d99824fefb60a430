-- Write an actor's row where its epoch still stands, and its transitions with it, in one round trip.
-- One row comes back: how many actors were written (0: another process took it over).
WITH held AS (
    UPDATE {table}
    SET state = %(state)s,
        epoch = %(new_epoch)s,
        owner = %(owner)s,
        waiting_for = %(waiting_for)s,
        last_error = %(last_error)s,
        error_count = %(error_count)s,
        reset_at = %(reset_at)s::timestamptz,
        retired_at = coalesce(%(retired_at)s::timestamptz, retired_at), -- others retire an actor, its owner only saves it
        heartbeat_at = CASE WHEN %(beats)s THEN clock_timestamp() ELSE heartbeat_at END
    WHERE name = %(name)s AND epoch = %(epoch)s
    RETURNING name
), logged AS (
    INSERT INTO transition_log (kind, name, event, source, target, minute, count, first_at, last_at, reason, by)
    SELECT %(kind)s, held.name, entry.event, entry.source, entry.target, entry.minute, entry.count,
           entry.first_at, entry.last_at, entry.reason, entry.by
    FROM held, unnest(
        %(events)s::text[], %(sources)s::text[], %(targets)s::text[], %(minutes)s::timestamptz[], %(counts)s::int[],
        %(firsts)s::timestamptz[], %(lasts)s::timestamptz[], %(reasons)s::text[], %(bys)s::text[]
    ) WITH ORDINALITY AS entry (event, source, target, minute, count, first_at, last_at, reason, by, place)
    ORDER BY entry.place
    ON CONFLICT (kind, name, event, source, target, minute) DO UPDATE
    SET count = transition_log.count + excluded.count,
        first_at = least(transition_log.first_at, excluded.first_at),
        last_at = greatest(transition_log.last_at, excluded.last_at)
)
-- State alone may be lost in a crash of the server: it need not wait for the disk. Data transactions keep their setting.
SELECT count(*), CASE WHEN %(relaxed)s THEN set_config('synchronous_commit', 'off', true) END FROM held
