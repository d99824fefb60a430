"""What processes write: one JSON object per line whichever process speaks, with actor and market, and never a key."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from celery import current_app
from django.conf import settings
from django.db import OperationalError, connection

from actor_runtime.models import TransitionLog
from actor_runtime.redaction import keep_secret, without_secrets
from config.celery import AwayFilter
from config.logs import formatter
from config.supervision.embedded_servers import free_port
from config.supervision.processes import CELERY
from datastore.models import FetchRequest
from datastore.reference.markets import ensure_markets
from tests.support.api import rows
from tests.support.polling import until

KEY = "sesame-open-9"
ROOT = settings.BASE_DIR
Line = dict[str, Any]
Start = Callable[..., subprocess.Popen[bytes]]


def line_of(record: logging.LogRecord) -> Line:
    return dict(json.loads(formatter("json").format(record)))


def record(message: str, *args: object, exc: BaseException | None = None) -> logging.LogRecord:
    info = (type(exc), exc, exc.__traceback__) if exc else None
    return logging.LogRecord("a.library", logging.ERROR, __file__, 1, message, args, info)


def raised(message: str) -> Exception:
    try:
        raise ValueError(message)
    except ValueError as exc:
        return exc


def test_a_librarys_line_with_a_traceback_is_one_object_on_one_line() -> None:
    text = formatter("json").format(record("two\nlines of %s", "it", exc=raised("no")))
    assert "\n" not in text
    line = json.loads(text)
    assert (line["event"], line["level"], line["logger"]) == ("two\nlines of it", "error", "a.library")
    assert "ValueError: no" in line["exception"] and "test_logs.py" in line["exception"]


def test_a_task_whose_database_is_away_needs_no_traceback_and_any_other_fault_does() -> None:
    away = record("raised unexpected: %s\nmore", "it", exc=OperationalError("no space left on device"))
    fault = record("raised unexpected: %s", "it", exc=raised("no"))
    assert all(AwayFilter().filter(each) for each in (away, fault))
    assert (away.getMessage(), away.exc_info) == ("raised unexpected: it", None)
    assert fault.exc_info


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_key_is_in_no_line_neither_by_value_nor_in_a_url_nor_in_a_traceback(log_format: str) -> None:
    keep_secret([KEY])
    told = [
        record(f"asked with {KEY}"),
        record("asked %s", f"https://host/data?api_key={KEY}x"),
        record("redis://:hunter2hunter2@host:6379/0 is away"),
        record("Authorization: Apikey hunter2hunter2"),
        record("failed", exc=raised(f"{KEY} and password=hunter2hunter2")),
    ]
    text = "\n".join(formatter(log_format).format(one) for one in told)
    assert KEY not in text and "hunter2" not in text
    assert "host:6379" in text and "asked with" in text


def test_a_field_that_names_a_secret_is_blotted_out_whatever_it_holds() -> None:
    event: Any = {"event": "x", "api_key": "short", "headers": {"Authorization": "y"}, "of": ["a", 1, None]}
    made = logging.LogRecord("ours", logging.INFO, __file__, 1, event, (), None)
    made._logger, made._name = logging.getLogger("ours"), "info"
    line = line_of(made)
    assert (line["api_key"], line["headers"], line["of"]) == ("…", {"Authorization": "…"}, ["a", 1, None])


def test_a_short_value_would_blot_out_ordinary_words() -> None:
    keep_secret(["test"])
    assert without_secrets("a test") == "a test"


@pytest.fixture
def start(transactional_db: None, tmp_path: Path) -> Iterator[Start]:
    """Start a process as `up` does, its lines in tmp_path/<name>; end those that are left."""
    there = connection.settings_dict
    env = os.environ | {
        "DATABASE_URL": f"postgresql://{there['USER']}@/{there['NAME']}?host={there['HOST']}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "DEBUG",
        "CRYPTOCOMPARE_REST_URL": "http://127.0.0.1:1",
        "CRYPTOCOMPARE_WS_URL": f"ws://someone:{KEY}@127.0.0.1:1/v2",
        "CRYPTOCOMPARE_API_KEY": KEY,
        "MARKETS": rows.SYMBOL,
    }
    children: list[subprocess.Popen[bytes]] = []

    def starting(name: str, *argv: str) -> subprocess.Popen[bytes]:
        with (tmp_path / name).open("wb") as output:
            child = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
        children.append(child)
        return child

    yield starting
    for child in children:
        if child.poll() is None:
            child.kill()
        child.wait()


def end(child: subprocess.Popen[bytes], path: Path) -> list[Line]:
    """Stop a process and return its lines, every one of which must be an object."""
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=20) in (0, -signal.SIGTERM)
    text = path.read_text()
    assert KEY not in text
    return [dict(json.loads(line)) for line in text.splitlines()]


def test_every_line_of_an_actors_process_is_an_object_that_names_the_actor(start: Start, tmp_path: Path) -> None:
    ensure_markets([rows.SYMBOL])
    path = tmp_path / "producer"
    child = start("producer", sys.executable, "manage.py", "run_producer")
    until(path.read_text, TransitionLog.objects.filter(event="RESET").exists, 30)
    lines = end(child, path)
    assert {line.get("actor") for line in lines if line["event"] != "actor claimed"} == {"producer-live-1"}
    assert {"actor claimed", "actor transition", "feed lost"} <= {line["event"] for line in lines}
    assert all({"event", "level", "logger", "timestamp"} <= set(line) for line in lines)


def test_a_job_of_the_worker_names_actor_market_and_request_and_a_task_that_fails_is_one_line(
    start: Start, tmp_path: Path
) -> None:
    (market,) = ensure_markets([rows.SYMBOL])
    request = FetchRequest.objects.create(
        market=market, resolution=60, start=rows.BEGAN, stop=rows.BEGAN + rows.MINUTE, purpose=0
    )
    path = tmp_path / "worker"
    child = start("worker", *CELERY, "worker", "--pool", "threads", "--without-mingle", "--without-gossip")
    for argument in (request.pk, "no number"):
        current_app.send_task("ingestion.fetch", [argument])
    until(path.read_text, lambda: "actor claimed" in path.read_text() and "no number" in path.read_text(), 40)
    until(path.read_text, lambda: "fetch given back" in path.read_text() or "FETCH_FAILURE" in path.read_text(), 30)
    lines = end(child, path)
    of_job = [line for line in lines if line["logger"].startswith(("actor_runtime.", "ingestion."))]
    assert of_job
    assert {(line["market"], line["request"]) for line in of_job} == {(rows.SYMBOL, request.pk)}
    assert {line["actor"].rpartition("-")[0] for line in of_job} == {"producer-history"}
    (failed,) = [
        line for line in lines if line["logger"] == "celery.app.trace" and "raised unexpected" in line["event"]
    ]
    assert "no number" in failed["exception"]


def test_what_the_web_server_says_of_a_request_that_failed_outside_django_is_an_object_too(
    start: Start, tmp_path: Path
) -> None:
    port, path = free_port(), tmp_path / "web"
    code = (
        "from django.conf import settings; from config.supervision.web import main; "
        f"settings.LOG_FORMAT, settings.PORT = 'json', {port}; "
        "settings.WSGI_APPLICATION = 'tests.support.config.failing.application'; main()"
    )
    child = start("web", sys.executable, "-c", code)
    until(path.read_text, lambda: answers(port) == 500, 30)
    child.send_signal(signal.SIGTERM)
    child.wait(timeout=20)
    text = path.read_text()
    assert KEY not in text
    assert any("was refused" in json.loads(line)["event"] for line in text.splitlines())


def answers(port: int) -> int | None:
    try:
        with urlopen(f"http://127.0.0.1:{port}/") as answer:
            return int(answer.status)
    except HTTPError as exc:
        with exc:
            return exc.code
    except OSError:
        return None


def test_a_fault_that_nobody_caught_and_a_warning_are_objects_too(start: Start, tmp_path: Path) -> None:
    code = f"import django, warnings; django.setup(); warnings.warn('old'); raise RuntimeError('api_key={KEY}')"
    child = start("crash", sys.executable, "-c", code)
    assert child.wait(timeout=30) == 1
    text = (tmp_path / "crash").read_text()
    warning, crash = (json.loads(line) for line in text.splitlines())
    assert warning["logger"] == "py.warnings"
    assert crash["level"] == "critical" and "RuntimeError" in crash["exception"]
    assert KEY not in text
