"""The start, step by step: folder, ports, servers, schema, provider, processes; then the watch until Ctrl-C."""

from __future__ import annotations

import errno
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Lock
from urllib.parse import quote

from django.conf import settings

from actor_runtime.stop_event import StopEvent
from config.disk import DISK_ERRORS
from config.supervision import aside, embedded_servers, first_start, processes, servers
from config.supervision.errors import StartCancelled, StartError
from config.supervision.home import claim_home
from config.supervision.leftovers import stop_leftovers
from config.supervision.output import Say
from config.supervision.ports import LOOPBACK, check_free, choose_port
from config.supervision.provider import Contact, contact_all, nobody_answers
from config.supervision.supervisor import Supervisor
from metering.sharing import reset_counters

SIMULATOR_TIMEOUT_S = 180.0  # a busy machine takes a minute to start a process
PROVIDER_TIMEOUT_S = 5.0
WEB_PROGRESS_EVERY_S = 60.0  # how often a line says what is not ready


class Launch:
    """One run of `manage.py up`."""

    def __init__(self, say: Say, on_terminal: bool = False) -> None:
        """Prepare only; say prints one line, which only a person sees if that goes to a terminal."""
        self._on_terminal = on_terminal
        self.home: Path = settings.CANDLEKEEP_HOME
        self._lock = Lock()
        self._print = say
        self.supervisor = Supervisor(self.home, self.say, StopEvent())
        self.addresses: dict[str, str] = {}
        self.valkey_port = self.simulator_port = 0
        self.venue_ports: dict[str, int] = {}  # of venues that the simulator plays, by provider
        self.began = time.monotonic()
        self._lock_file = -1

    def say(self, line: str) -> None:
        """Print one line; a closed terminal, or a full disk behind it, is no reason to stop."""
        with self._lock:
            try:
                self._print(line)
            except OSError as error:
                if error.errno not in DISK_ERRORS - {errno.EIO}:  # EIO is a terminal that was closed
                    self._print = lambda _: None

    def step(self, line: str) -> None:
        """Print that one step of the start is done, and when."""
        self.say(f"  {time.monotonic() - self.began:5.1f} s  {line}")

    def run(self) -> None:
        """Start everything, watch it, stop it; raise StartError if that fails. Nothing is left running."""
        with self._signals():
            self._lock_file = claim_home(self.home)
            self._prepare()
            try:
                self._start()
                self.supervisor.run()
            except StartCancelled:
                pass
            finally:
                self.supervisor.stop.set()
                self.say("stopping … (Ctrl-C again kills)")
                with self.supervisor.disk.attempt():
                    servers.remove_addresses(self.home)
                first_start.disconnect()
                self.supervisor.shut_down()
                self.say(f"stopped; the data stays in {self.home}")

    def _prepare(self) -> None:
        """Do what can fail before any process runs: leftovers, ports, addresses."""
        servers.remove_addresses(self.home)
        for name in stop_leftovers(self.home):
            self.say(f"stopped {name}, left running by a start that was killed")
        reset_counters(settings.METRICS_FOLDER)
        check_free("PORT", settings.HOST, settings.PORT)
        check_free("SSE_PORT", settings.HOST, settings.SSE_PORT)

        if settings.LIVE and settings.EMBEDDED_DATABASE and not embedded_servers.is_made(self.home):
            # Without a network there is nothing to show yet, and no reason to start servers first.
            found = contact_all()
            if not any(contact.answered for contact in found):
                raise StartError(nobody_answers(found))
        self.addresses = {**processes.given_addresses(), **settings.KAFKA_ENVIRONMENT}
        self.addresses["PROVIDERS"] = ",".join(settings.PROVIDERS)
        if settings.LIVE:
            self.addresses["LIVE"] = "1"
        if settings.EMBEDDED_DATABASE:
            self.addresses["database_url"] = embedded_servers.postgres_url(self.home)
        if settings.EMBEDDED_VALKEY:
            self.valkey_port = choose_port(self.home, "VALKEY_PORT", settings.VALKEY_PORT)
            self.addresses["redis_url"] = embedded_servers.valkey_url(self.home, self.valkey_port)
        if settings.EMBEDDED_STREAM:
            self.addresses["stream_url"] = self.addresses["redis_url"]
        if settings.EMBEDDED_SIMULATOR:
            self.simulator_port = choose_port(self.home, "SIMULATOR_PORT", settings.SIMULATOR_PORT)
            for name in settings.PROVIDERS:
                if name != processes.SIMULATORS_OWN:
                    self.venue_ports[name] = choose_port(self.home, f"simulated {name}", 0)
            self.addresses["SIMULATOR_URL"] = f"http://{LOOPBACK}:{self.simulator_port}"
            ports = {processes.SIMULATORS_OWN: self.simulator_port, **self.venue_ports}
            self.addresses |= processes.simulated_addresses(ports)

    def _start(self) -> None:
        env = processes.environment(self.addresses)
        self.supervisor.fork_from(env, processes.COMMANDS, unshared=[self._lock_file])
        if settings.EMBEDDED_SIMULATOR:  # first: it needs no server, and computes what is about to be asked for
            self.supervisor.add(processes.simulator_program(self.simulator_port, self.venue_ports, env))
        self._start_servers()
        servers.write_addresses(self.home, self.addresses)
        fork_server = self.supervisor.fork_server
        for line in aside.set_up_schema(fork_server, self.say, on_terminal=self._on_terminal):
            self.step(line)
        found = self._find_providers()
        for line in aside.set_up_contents(fork_server, self.say, found):
            self.step(line)

        for program in processes.service_programs(env).values():
            self.supervisor.add(program)

        # Wait, for ever if need be, until the web and the stream process answer.
        failures: list[str] = []

        def ready() -> bool:
            failures[:] = web_failures(settings.HOST, settings.PORT) or sse_failures(settings.HOST, settings.SSE_PORT)
            return not failures

        while not self.supervisor.wait_for(ready, WEB_PROGRESS_EVERY_S):
            self.say(f"not ready yet: {'; '.join(failures)}")

        first_start.disconnect()
        for line in banner(found, self.home):
            self.say(line)

    def _start_servers(self) -> None:
        """Start the embedded servers; wait for database, cache and stream, in this order."""
        if settings.EMBEDDED_DATABASE:
            embedded_servers.prepare_postgres(self.home)
            self.supervisor.add(servers.postgres_program(self.home))
        if settings.EMBEDDED_VALKEY:
            self.supervisor.add(servers.valkey_program(self.home, self.valkey_port))

        if settings.EMBEDDED_DATABASE:
            admin_url = embedded_servers.postgres_url(self.home, "postgres")
            servers.await_server("PostgreSQL", lambda: servers.database_refusal(admin_url), self.supervisor)
            servers.create_database(self.home)
        else:
            url = settings.DATABASE_URL
            servers.await_server("DATABASE_URL", lambda: servers.database_refusal(url), self.supervisor)
        self.step("database ready")

        redis_url, stream_url = self.addresses["redis_url"], self.addresses["stream_url"]
        name = "Valkey" if settings.EMBEDDED_VALKEY else "REDIS_URL"
        servers.await_server(name, lambda: servers.valkey_refusal(redis_url), self.supervisor)
        self.step("cache and stream ready" if settings.EMBEDDED_STREAM else "cache ready")
        if not settings.EMBEDDED_STREAM:
            servers.await_server("STREAM_URL", lambda: servers.stream_refusal(stream_url), self.supervisor)
            self.step("stream ready")
        self._check_eviction("REDIS_URL", redis_url)
        self._check_eviction("STREAM_URL", stream_url)

    def _check_eviction(self, name: str, url: str) -> None:
        """Refuse a server that evicts records or jobs when it is full; warn if it evicts only keys that expire."""
        policy = servers.eviction_policy(url) if url.startswith(("redis", "unix")) else None
        fix = f"The server of {name} has maxmemory-policy {policy}. Set it to noeviction"
        if policy and policy.startswith("allkeys"):
            raise StartError(f"{fix}: it would throw away records and jobs when it is full.")
        if policy:
            self.say(f"{fix}: it may forget how often the provider was called.")

    def _find_providers(self) -> list[Contact]:
        """Ask the providers who they are. A simulator must answer; a real one that is down is known by its host.

        Raise StartError if none of the real ones answers at the first start: there is nothing to show yet.
        """
        found: list[Contact] = []

        def answered() -> bool:
            found[:] = contact_all(addresses=self.addresses)
            return all(contact.answered for contact in found)

        if not settings.EMBEDDED_SIMULATOR:
            self.supervisor.wait_for(answered, PROVIDER_TIMEOUT_S)
            if not any(contact.answered for contact in found) and not first_start.are_known(found):
                raise StartError(nobody_answers(found))
            return found
        for _ in range(round(SIMULATOR_TIMEOUT_S / servers.PROGRESS_EVERY_S)):
            if self.supervisor.wait_for(answered, servers.PROGRESS_EVERY_S):
                return found
            self.say("waiting for the simulator")
        raise StartError(f"The simulator does not answer: {'; '.join(contact.trouble for contact in found)}.")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self.supervisor.on_signal) for number in numbers}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self.supervisor.on_child)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def reachable(host: str) -> str:
    """Return a host name by which this machine reaches a server that listens on host."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not listened on
        return LOOPBACK if host != "::" else "[::1]"
    return f"[{host}]" if ":" in host else host


def web_failures(host: str, port: int) -> list[str]:
    """Ask /health/ready; return what fails, an empty list if nothing does."""
    # The question has to come under a host name that Django accepts.
    name: str = settings.ALLOWED_HOSTS[0].lstrip(".")
    connection = HTTPConnection(reachable(host), port, timeout=5)
    try:
        connection.request("GET", "/health/ready", headers={"Host": "localhost" if name == "*" else name})
        answer = connection.getresponse()
        body = json.loads(answer.read()) if answer.status in {200, 503} else {}
    except (OSError, HTTPException, ValueError) as error:
        return [f"the web process does not answer ({error})"]
    finally:
        connection.close()
    if answer.status == 200:
        return []
    return [f"{part}: {why}" for part, why in body.get("failing", {}).items()] or [f"HTTP {answer.status}"]


def sse_failures(host: str, port: int) -> list[str]:
    """Ask the stream process whether it is alive; return why not, an empty list if it is."""
    connection = HTTPConnection(reachable(host), port, timeout=5)
    try:
        connection.request("GET", "/health/live")
        connection.getresponse().read()
    except (OSError, HTTPException) as error:
        return [f"the stream process does not answer ({error})"]
    finally:
        connection.close()
    return []


def banner(providers: list[Contact], home: Path) -> list[str]:
    """Return the lines that say what runs and where."""
    base = settings.PUBLIC_URL or f"http://{reachable(settings.HOST)}:{settings.PORT}"
    series = f"market={quote(settings.MARKETS[0], safe=':')}&timeframe=1m"
    simulated = ["", "  SIMULATED DATA: every price here is invented by the built-in simulator."]
    return [
        "",
        f"Candlekeep is ready: {base}/",
        f"  candles   curl '{base}/api/v1/candles?{series}'",
        f"  live      curl -NL '{base}/api/v1/candles/stream?{series}'",
        f"  admin     {base}/admin/ (user admin)",
        f"  provider  {', '.join(dict.fromkeys(provider.identity.name for provider in providers))}",
        f"  data      {home}",
        *(simulated if any(provider.identity.simulated for provider in providers) else []),
        "",
        "Ctrl-C stops everything and keeps the data.",
        "",
    ]
