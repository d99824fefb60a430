"""The servers we need: started if embedded, awaited, and their addresses saved for commands in another shell."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from signal import SIGINT, SIGQUIT

import psycopg
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from actor_runtime.redaction import without_secrets
from config.secret_files import replace_text
from config.supervision import embedded_servers
from config.supervision.child import Program
from config.supervision.errors import StartError
from config.supervision.supervisor import Supervisor
from streaming.broker_factory import connect
from streaming.errors import StreamError

SERVER_TIMEOUT_S = 120.0  # after a crash a database replays its log first
PROGRESS_EVERY_S = 10.0  # how often a line says what the start waits for
PROBE_KEY = "candlekeep:writable"
ADDRESSES_FILE = Path("run") / "servers.json"


def postgres_program(home: Path, *options: str) -> Program:
    """Return the embedded PostgreSQL; on SIGINT it ends open transactions and writes everything to disk."""
    command = embedded_servers.postgres_command(home, *options)
    return Program(
        name="postgres",
        argv=command.argv,
        env=embedded_servers.server_environment(),
        user=command.user,
        quiet=True,
        stop_signal=SIGINT,
        kill_signal=SIGQUIT,
        stop_seconds=60,
    )


def valkey_program(home: Path, port: int) -> Program:
    """Return the embedded Valkey; on SIGTERM it writes its append-only file to disk."""
    command = embedded_servers.valkey_command(home, port)
    return Program(name="valkey", argv=command.argv, env=dict(os.environ), quiet=True, stage=1, stop_seconds=30)


def database_refusal(url: str) -> str | None:
    """Return None if this database accepts a connection within two seconds, else the first line of its reason."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.Error as error:
        return _first_line(error)
    return None


def write_refusal(url: str) -> str | None:
    """Return None if this database accepts a connection and a write within two seconds each, else why not.

    A read-only database, a standby, and one whose log cannot grow still accept connections.
    """
    try:
        with psycopg.connect(url, connect_timeout=2) as link:
            link.execute("set local statement_timeout = '2s'")
            if link.execute("show transaction_read_only").fetchone() != ("off",):
                return "the database is read-only"
            # Reaches the disk with its commit, needs no table, and nobody reads it.
            link.execute("select pg_logical_emit_message(true, 'candlekeep', 'writable')")
    except psycopg.Error as error:
        return _first_line(error)
    return None


def valkey_refusal(url: str, within_s: float = 2) -> str | None:
    """Return None if this Redis or Valkey takes a key within two seconds, else why not."""
    client = redis.Redis.from_url(
        url,
        socket_connect_timeout=within_s,
        socket_timeout=within_s,
        retry=Retry(NoBackoff(), 0),
        single_connection_client=False,
    )
    try:
        client.set(PROBE_KEY, 1, ex=60)  # a replica, or a full one, answers a PING
    except redis.RedisError as error:
        return _first_line(error)
    finally:
        client.close()
    return None


def stream_refusal(url: str, within_s: float = 2) -> str | None:
    """Return None if the stream at this URL answers, else why not; a Kafka cluster has five seconds."""
    if url.startswith(("redis", "unix")):
        return valkey_refusal(url, within_s)
    try:
        with closing(connect(url, settings.STREAM_MAXLEN, settings.KAFKA).admin()) as admin:
            admin.topics()
    except StreamError as error:
        return _first_line(error)
    return None


def _first_line(error: Exception) -> str:
    """Return what a library says, which goes to terminals and logs of others."""
    return without_secrets(str(error).strip().partition("\n")[0]) or type(error).__name__


def eviction_policy(url: str) -> str | None:
    """Return this Redis' or Valkey's maxmemory-policy, None if it evicts nothing (noeviction, or no limit)."""
    client = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2, decode_responses=True)
    try:
        memory = client.info("memory")
    except redis.RedisError:  # some hosted servers refuse INFO
        return None
    finally:
        client.close()
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    return None if policy == "noeviction" or not memory.get("maxmemory") else policy


def await_server(name: str, refusal: Callable[[], str | None], supervisor: Supervisor) -> None:
    """Wait until refusal() is None, saying now and then why it is not; raise StartError after SERVER_TIMEOUT_S."""
    for _ in range(round(SERVER_TIMEOUT_S / PROGRESS_EVERY_S)):
        if supervisor.wait_for(lambda: refusal() is None, PROGRESS_EVERY_S):
            return
        supervisor.say(f"waiting for {name}: {refusal()}")
    raise StartError(f"{name} does not answer: {refusal() or 'too slow'}.")


def create_database(home: Path) -> None:
    """Create this home's database, if it does not exist."""
    with psycopg.connect(embedded_servers.postgres_url(home, "postgres"), autocommit=True) as admin:
        if not admin.execute("select 1 from pg_database where datname = %s", [embedded_servers.DATABASE]).fetchone():
            admin.execute("create database candlekeep")


def write_addresses(home: Path, addresses: dict[str, str]) -> None:
    """Save the addresses for commands of this home, in a file that only our account may read: it has passwords."""
    replace_text(home / ADDRESSES_FILE, json.dumps(addresses, indent=1))


def remove_addresses(home: Path) -> None:
    """Delete the saved addresses: the servers do not run yet, or are about to stop."""
    (home / ADDRESSES_FILE).unlink(missing_ok=True)
