"""No secret leaves: not by what a start prints, not by arguments, error pages, tracebacks or reasons."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import RequestFactory
from django.views.debug import technical_500_response

from actor_runtime import redaction
from actor_runtime.models import TransitionLog
from actor_runtime.redaction import keep_secret, secrets_in, without_secrets
from config.monitoring.status import overview
from config.supervision import first_start, processes, servers
from config.supervision.embedded_servers import free_port
from config.supervision.errors import StartError
from config.supervision.output import Output
from datastore.backfill import fetch_queue
from datastore.models import DatastoreRequest, FetchRequest
from datastore.reference.markets import ensure_markets
from ingestion.providers.cryptocompare.rest import read_rate
from ingestion.providers.port import Unauthorized
from streaming.errors import StreamError
from streaming.kafka_settings import kafka_servers

PASSWORD = "hunter2-of-tests"
BEGAN, HOUR = datetime(2026, 11, 20, tzinfo=UTC), timedelta(hours=1)
URL = f"postgresql://me:{PASSWORD}@db.example.org/candles"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Let no value of a test be a secret of the next one."""
    before = set(redaction._secrets)
    yield
    redaction._secrets.clear()
    redaction._secrets.update(before)


@pytest.mark.django_db
@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_password_that_was_given_is_in_no_line_and_no_file(tmp_path: Path, on_terminal: bool) -> None:
    line = first_start.make_admin(PASSWORD, tmp_path, on_terminal)
    assert line is not None and PASSWORD not in line and "ADMIN_PASSWORD" in line
    assert list(tmp_path.iterdir()) == [] and User.objects.get().check_password(PASSWORD)
    assert first_start.make_admin("", tmp_path, on_terminal) is None, "there is one"


@pytest.mark.django_db
def test_an_invented_password_is_shown_on_a_terminal_alone(tmp_path: Path) -> None:
    line = first_start.make_admin("", tmp_path, on_terminal=True)
    assert line is not None and list(tmp_path.iterdir()) == []
    assert User.objects.get().check_password(line.partition("password ")[2].split()[0])


@pytest.mark.django_db
def test_elsewhere_it_is_in_a_file_for_its_owner(tmp_path: Path) -> None:
    line = first_start.make_admin("", tmp_path / "home", on_terminal=False)
    path = tmp_path / "home" / "run" / "admin.password"
    password = path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o600 and User.objects.get().check_password(password)
    assert line is not None and str(path) in line and password not in line


@pytest.mark.django_db
def test_without_a_place_for_it_nobody_is_made_and_the_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StartError, match="ADMIN_PASSWORD"):
        first_start.make_admin("", tmp_path / "file" / "home", on_terminal=False)
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("given", ["", PASSWORD])
def test_prepare_prints_a_password_to_a_terminal_only(settings: Any, tmp_path: Path, given: str) -> None:
    settings.EMBEDDED_DATABASE = settings.EMBEDDED_VALKEY = settings.EMBEDDED_SIMULATOR = False
    settings.CRYPTOCOMPARE_REST_URL = f"http://127.0.0.1:{free_port()}"
    settings.CANDLEKEEP_HOME, settings.ADMIN_PASSWORD = tmp_path, given
    call_command("prepare", stdout=(log := StringIO()))
    password = given or (tmp_path / "run" / "admin.password").read_text().strip()
    assert "admin user made" in log.getvalue() and password not in log.getvalue()

    User.objects.all().delete()
    screen, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stdout:
        call_command("prepare", stdout=stdout)
        stdout.flush()
        shown = os.read(screen, 65536).decode()
    os.close(screen)
    (line,) = [line for line in shown.splitlines() if "admin user made" in line]
    assert ("shown only this once" in line) is not bool(given)
    assert PASSWORD not in line


def test_no_process_has_a_secret_among_its_arguments(settings: Any, tmp_path: Path) -> None:
    settings.ADMIN_PASSWORD = settings.CRYPTOCOMPARE_API_KEY = settings.SECRET_KEY = PASSWORD
    settings.DATABASE_URL = settings.REDIS_URL = settings.STREAM_URL = URL
    settings.CRYPTOCOMPARE_WS_URL = settings.CRYPTOCOMPARE_REST_URL = URL
    env = processes.environment(processes.given_addresses())
    programs = [*processes.service_programs(env).values(), processes.simulator_program(1, {}, env)]
    programs.append(servers.valkey_program(tmp_path, 1))
    secrets = (PASSWORD, (tmp_path / "run" / "valkey.password").read_text().strip())
    assert not [word for program in programs for word in program.argv if any(secret in word for secret in secrets)]


@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
def test_an_error_page_shows_no_password_of_an_address(settings: Any, accept: str) -> None:
    settings.DEBUG, settings.DATABASE_URL, settings.CELERY_BROKER_URL = True, URL, f"redis://:{PASSWORD}@cache:6379/0"
    settings.CACHES = {**settings.CACHES, "other": {"LOCATION": [f"redis://:{PASSWORD}@cache:6379/1"]}}
    address = URL  # a variable of this frame
    try:
        raise ValueError(f"cannot connect to {address}")
    except ValueError:
        page = technical_500_response(RequestFactory().get("/", headers={"Accept": accept}), *sys.exc_info())
    text = page.content.decode()
    assert PASSWORD not in text and "cannot connect to" in text
    assert "ValueError" in text and (accept == "text/plain" or "cache:6379" in text)


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_fault_that_nobody_caught_is_printed_without_secrets(log_format: str) -> None:
    code = (
        "import django; django.setup(); from django.conf import settings as s; raise RuntimeError(s.DATABASE_URL[16:])"
    )
    env = {**os.environ, "DATABASE_URL": URL, "LOG_FORMAT": log_format, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1 and "RuntimeError" in done.stderr and "db.example.org" in done.stderr
    assert PASSWORD not in done.stderr + done.stdout


def test_what_a_child_prints_is_logged_and_shown_without_secrets(tmp_path: Path) -> None:
    shown: list[str] = []
    output = Output("child", tmp_path / "log" / "child.log", shown.append)
    output.line(f"Traceback: {URL}")
    output.close()
    assert "db.example.org" in shown[0]
    assert PASSWORD not in "".join([*shown, *output.last, (tmp_path / "log" / "child.log").read_text()])


def test_a_reason_of_a_server_is_without_secrets() -> None:
    keep_secret([PASSWORD])
    reason = servers.database_refusal(f"postgresql://{PASSWORD}.invalid:1/x")
    assert reason and PASSWORD not in reason
    reason = servers.valkey_refusal(f"redis://{PASSWORD}.invalid:1/0")
    assert reason and PASSWORD not in reason


@pytest.mark.django_db
def test_a_row_that_readers_see_holds_no_secret_whatever_its_reason_says() -> None:
    DatastoreRequest.objects.create(name="request-1")
    with DatastoreRequest.locked("request-1") as actor:
        actor.request_data()
        actor.start_db_query()
        actor.db_query_failure(reason=f"no answer from {URL}")
    (market,) = ensure_markets(["coinbase:BTC-USD"])
    hour = {"start": BEGAN, "stop": BEGAN + HOUR, "resolution": 60, "purpose": 0}
    fetch = FetchRequest.objects.create(market=market, state=FetchRequest.State.FETCHING, worker="me", **hour)
    assert fetch_queue.note_error(fetch.pk, "me", f"no answer from {URL}")
    rows = [*DatastoreRequest.objects.values(), *TransitionLog.objects.values(), *FetchRequest.objects.values()]
    shown = [str(rows), overview(width=400)]
    assert PASSWORD not in "".join(shown) and all("no answer from postgresql://…@db" in text for text in shown)


def test_a_provider_that_repeats_the_key_is_quoted_without_it() -> None:
    keep_secret([PASSWORD])
    told = read_rate(401, {}, f'{{"Response": "Error", "Message": "key {PASSWORD} is wrong"}}'.encode())
    assert told == Unauthorized("key … is wrong")


def test_brokers_that_cannot_be_read_are_not_repeated_if_they_hold_a_password() -> None:
    for url in ("kafka://me:hunter/2@one:9092", "kafka://me:hunter@one:9092", "kafka://me:hunter#2@one"):
        with pytest.raises(StreamError, match="KAFKA_SASL_PASSWORD") as caught:
            kafka_servers(url)
        assert "hunter" not in str(caught.value)


def test_secrets_are_found_in_addresses_and_blotted_out_however_they_are_spelled() -> None:
    assert secrets_in("redis://:p%40ss-of-tests@h/0") == ["p%40ss-of-tests", "p@ss-of-tests"]
    assert secrets_in("wss://h/v2?api_key=longer-key&format=x") == ["longer-key"]
    assert secrets_in("postgresql://me@h/x") == secrets_in("") == []
    keep_secret(["sesame", "sesame-open", "sesame-open-9", "a&b+c/d=longer"])
    text = "sesame-open-9 sesame-open a&amp;b+c/d=longer a%26b%2Bc%2Fd%3Dlonger sesame"
    assert without_secrets(text) == "… … … … sesame", "the last is too short"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("redis://:p@ss@host:6379/0", "redis://…@host:6379/0"),
        ("key ck_k3v9x0qa_J8b-_x is sent", "key ck_… is sent"),
        ("GET /stream/candles?ticket=abc:def&x=1", "GET /stream/candles?ticket=…&x=1"),
        ("Cookie: sessionid=abc; csrftoken=def", "Cookie: sessionid=…; csrftoken=…"),
        ("passwd=abc", "passwd=…"),
        ("http://host/a@b is an address", "http://host/a@b is an address"),
    ],
)
def test_what_looks_like_a_secret_is_blotted_out(text: str, left: str) -> None:
    assert without_secrets(text) == left
