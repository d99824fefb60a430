"""The table of supervised processes: each is one command and keeps no state of its own."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from config.provider_settings import host_settings
from config.supervision.child import Program
from config.supervision.ports import LOOPBACK
from ingestion.live.copies import copies_of
from ingestion.provider_access import REST
from ingestion.providers.table import configured

BASE_DIR = Path(settings.BASE_DIR)
CELERY = (sys.executable, "-m", "celery", "--app", "config.celery", "--quiet")
# The simulator lists these beside MARKETS, so that there are unfollowed markets to ask for.
EXTRA_LISTED_MARKETS = (
    "coinbase:SOL-USD",
    "coinbase:XRP-USD",
    "kraken:ETH-EUR",
    "bitstamp:BTC-USD",
    "binance:BTC-USDT",
)
SIMULATORS_OWN = "cryptocompare"  # the provider whose protocol the simulator speaks on its own port
DAYS_AHEAD = 1500  # each followed market is asked for so many at the first start
# Stages start in this order and stop in reverse; the database servers are stages 0 and 1.
SIMULATOR_STAGE, WEB_STAGE, ACTOR_STAGE = 2, 3, 4


@dataclass(frozen=True, slots=True)
class ActorProcess:
    """One `manage.py run_…` process."""

    name: str
    arguments: tuple[str, ...]


ACTOR_PROCESSES = (
    ActorProcess("fixed-consumer", ("run_fixed_consumer", "--topic", "tick-data")),
    ActorProcess("candle-consumer", ("run_fixed_consumer", "--topic", "candle-data")),
    ActorProcess("dynamic-consumer", ("run_dynamic_consumer",)),
    ActorProcess("coordinator", ("run_coordinator",)),
)
COMMANDS = ("run_sse", "run_producer", *sorted({actor.arguments[0] for actor in ACTOR_PROCESSES}))


def producer_processes() -> list[ActorProcess]:
    """Return the live Producers, for each provider as many copies as it is to have; a single one needs no name."""
    providers = configured()
    names = {one.name: f"producer-{one.name}" if len(providers) > 1 else "producer" for one in providers}
    return [
        ActorProcess(f"{name}-{copy}" if copy > 1 else name, ("run_producer", "--provider", one.name))
        for one in providers
        for name in (names[one.name],)
        for copy in range(1, copies_of(one.traits) + 1)
    ]


def environment(addresses: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of every child: our own, with the addresses of this start."""
    paths = [str(BASE_DIR), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "CANDLEKEEP_HOME": str(settings.CANDLEKEEP_HOME),
        "METRICS_DIR": str(settings.METRICS_FOLDER),
        "DATABASE_URL": addresses["database_url"],
        "REDIS_URL": addresses["redis_url"],
        "STREAM_URL": addresses["stream_url"],
        **{name: addresses[name] for name in provider_addresses()},
        "PROVIDERS": ",".join(settings.PROVIDERS),
        "SIMULATOR_ARGS": "",  # the simulator gets them as arguments; with the addresses set, a check would warn
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUNBUFFERED": "1",
        "SPT_NOENV": "1",  # a title that is set leaves the environment readable, by which one tells whose a process is
    }


def simulated_addresses(ports: Mapping[str, int]) -> dict[str, str]:
    """Return the addresses at which the simulator plays the providers' part, each on its port."""
    found = {}
    for provider in configured():
        for host in provider.traits.hosts:
            scheme = "http" if host.serves == REST else "ws"
            path = urlsplit(host.url).path.rstrip("/")
            found[host.setting] = f"{scheme}://{LOOPBACK}:{ports[provider.name]}{path}"
    return found


def given_addresses() -> dict[str, str]:
    """Return the addresses in the settings, for a start without embedded servers."""
    return {
        "database_url": settings.DATABASE_URL,
        "redis_url": settings.REDIS_URL,
        "stream_url": settings.STREAM_URL,
        **provider_addresses(),
    }


def provider_addresses() -> dict[str, str]:
    """Return the addresses of the providers by the names of their settings, "" for one that is not set."""
    names = [name for provider in settings.PROVIDERS for name in host_settings(provider)]
    return {name: getattr(settings, name) for name in names}


def service_programs(env: Mapping[str, str]) -> dict[str, Program]:
    """Return all programs but the servers and the simulator, by name."""
    return {
        program.name: program
        for program in (web_program(env), sse_program(env), *actor_programs(env), *celery_programs(env))
    }


def simulator_program(port: int, venue_ports: Mapping[str, int], env: Mapping[str, str]) -> Program:
    """Return the simulated provider; it runs in our folder, to which paths in SIMULATOR_ARGS are relative.

    It speaks CryptoCompare's protocol on its own port, and those of venues on theirs.
    """
    home = settings.CANDLEKEEP_HOME / "simulator"
    argv = ["-m", "simulator", "--host", LOOPBACK, "--port", str(port), "--home", str(home)]
    argv += [
        "--markets",
        ",".join(settings.MARKETS),
        "--listed",
        ",".join(EXTRA_LISTED_MARKETS),
        "--days-ahead",
        str(DAYS_AHEAD),
        *(["--venues", ",".join(f"{name}={port}" for name, port in venue_ports.items())] if venue_ports else []),
        *shlex.split(settings.SIMULATOR_ARGS),
    ]
    return Program("simulator", (sys.executable, *argv), env, stage=SIMULATOR_STAGE, cwd=Path.cwd(), forked=True)


def web_program(env: Mapping[str, str]) -> Program:
    """Return the web process, the only one with a pool of database connections."""
    argv = (sys.executable, "-m", "config.supervision.web")
    return Program("web", argv, env, stage=WEB_STAGE, cwd=BASE_DIR, forked=True)


def sse_program(env: Mapping[str, str]) -> Program:
    """Return the process that serves streams; after a restart its followers reconnect."""
    manage = str(BASE_DIR / "manage.py")
    return Program("sse", (sys.executable, manage, "run_sse"), env, stage=WEB_STAGE, cwd=BASE_DIR, forked=True)


def actor_programs(env: Mapping[str, str]) -> list[Program]:
    """Return the actors' processes."""
    manage = str(BASE_DIR / "manage.py")
    return [
        Program(
            actor.name, (sys.executable, manage, *actor.arguments), env, stage=ACTOR_STAGE, cwd=BASE_DIR, forked=True
        )
        for actor in (*producer_processes(), *ACTOR_PROCESSES)
    ]


def celery_programs(env: Mapping[str, str]) -> list[Program]:
    """Return the Celery worker, which runs the jobs, and beat, which sends the scheduled ones."""
    # There is only one worker: without mingle and gossip it is ready a second earlier.
    alone = ("--pool", "threads", "--without-mingle", "--without-gossip", "--without-heartbeat")
    programs = {"worker": ("worker", *alone), "beat": ("beat", "--pidfile", "")}
    return [
        # At another signal the worker waits for its database, which ends with us as well, and beat was seen to stay.
        Program(name, (*CELERY, *command), env, ACTOR_STAGE, cwd=BASE_DIR, forked=True, orphan_signal=signal.SIGKILL)
        for name, command in programs.items()
    ]
