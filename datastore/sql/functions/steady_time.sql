-- The database machine's steady time. The clock that everybody reads is set: by an operator, by NTP, by a machine that
-- was suspended. So no span of time is measured by it, and the provider's time is not derived from it. What cannot be
-- set is the kernel's count since the boot (CLOCK_BOOTTIME, in /proc/uptime), and every process reads this one.
-- A server that cannot say it (no Linux, or a role that may not read files) uses its clock: there a step is seen until a
-- Producer has measured again, within seconds.

-- A small file of the kernel's; null where this server or this role cannot read it. Not SQL: there the right to read
-- files would be asked for before the first line.
create or replace function kernel_file(name text) returns text language plpgsql stable as $$
begin
    if not pg_has_role('pg_read_server_files', 'usage')
       or not has_function_privilege('pg_read_file(text, bigint, bigint, boolean)', 'execute') then
        return null;
    end if;
    return pg_read_file(name, 0, 64, true);
end $$;

create or replace function uptime() returns interval language sql stable
return make_interval(secs => nullif(split_part(kernel_file('/proc/uptime'), ' ', 1), '')::float);

-- Steady time when the statement began. By the clock as long as that agrees with the kernel's count, whose steps are
-- 10 ms: then it is the same all through a statement. By the count itself from the moment the clock is set. A restarted
-- server is still in the boot that is noted.
create or replace function steady_now() returns timestamptz language plpgsql stable as $$
declare
    wall timestamptz := statement_timestamp();
    counted timestamptz;
    shown timestamptz;
begin
    select c.booted_at + uptime() - (clock_timestamp() - wall), wall + c.ahead into counted, shown from database_clock c
     where c.server_start = pg_postmaster_start_time() or c.boot = kernel_file('/proc/sys/kernel/random/boot_id');
    return case when counted is null then wall
                when abs(extract(epoch from counted - shown)) < 0.1 then shown else counted end;
end $$;

-- Note the boot and what the clock shows in it, and return steady time. A new boot goes on where the last one was left:
-- steady time never goes back. How the provider's time lies to it is then unknown until its next stamp.
create or replace function keep_steady_time() returns timestamptz language plpgsql as $$
declare
    wall timestamptz := clock_timestamp();
    up interval := uptime();
    this_boot text := kernel_file('/proc/sys/kernel/random/boot_id');
    before database_clock;
begin
    if up is null or this_boot is null then
        return wall;
    end if;
    select c.* into before from database_clock c;
    -- A container may begin its count again in the same boot.
    if before.boot = this_boot and before.booted_at + up > before.newest - interval '1 minute' then
        update database_clock c
           set server_start = pg_postmaster_start_time(), newest = greatest(c.newest, c.booted_at + up),
               ahead = case when abs(extract(epoch from c.booted_at + up - wall - c.ahead)) < 0.1 then c.ahead
                            else c.booted_at + up - wall end
         where c.boot = this_boot;
        return steady_now();
    end if;
    delete from database_clock;
    insert into database_clock (boot, booted_at, ahead, newest, server_start)
    values (this_boot, greatest(wall, before.newest) - up, greatest(wall, before.newest) - wall, greatest(wall, before.newest),
            pg_postmaster_start_time())
    on conflict (boot) do nothing;
    if before.boot is not null then
        update provider_clock set clock_offset = null;
    end if;
    return steady_now();
end $$;
