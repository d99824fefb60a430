"""The process from which others are forked: a fork of `up`, or `python -m config.supervision.fork_server …`.

Importing Django and the libraries costs a process more than a second and most of its memory. This one does it once,
before it has a thread or a connection, and what is forked from it shares both. It answers a request with a process
number.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from typing import NamedTuple, NoReturn

import django
from django.apps import apps
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import BaseCommand, get_commands, load_command_class
from setproctitle import setproctitle

from actor_runtime.collection import leave_out_what_is_loaded
from config.check_tags import SETTINGS_TAG
from config.supervision.adopted_settings import adopt
from config.supervision.guard import end_with

MAX_REQUEST_BYTES = 65_536
M_ARENA_MAX, MAX_ARENAS = -8, 2  # malloc.h
EMPTY_BYTES_SIZE = sys.getsizeof(b"")
FRESH_POOL_OBJECTS, MAX_FILLING_OBJECTS = 30, 4_000
_filling: list[bytes] = []
# What the programs import only when they know what to run: Celery's command line, and the web process.
LATER = (
    "celery.bin.celery",
    "celery.bin.worker",
    "celery.bin.beat",
    "celery.apps.worker",
    "celery.apps.beat",
    "celery.app.amqp",
    "celery.app.log",
    "celery.concurrency.thread",
    "celery.contrib.django.task",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "django_celery_beat.schedulers",
    "coordination.steady_scheduler",
    "coordination.tasks",
    "datastore.tasks",
    "ingestion.tasks",
    "django_redis.compressors.identity",
    "django_redis.serializers.pickle",
    "encodings.idna",
    "config.command_line",
    "config.supervision.aside",
    "config.supervision.web",
    "config.wsgi",
)


class Request(NamedTuple):
    """What to be: `arguments` are Python's, a script's path or -m and a module; the signal is what ends it."""

    name: str
    arguments: list[str]
    cwd: str
    orphan_signal: int


def main(argv: list[str]) -> None:
    """Load everything, then fork for each request until the starter closes the socket."""
    load(argv[2:])
    check_once()
    serve(socket.socket(fileno=int(argv[0])), int(argv[1]))


def begin_here(requests: socket.socket, output: int, starter: int, env: Mapping[str, str]) -> NoReturn:
    """Be the server in a fork of the starter, which had no thread and no connection; its output goes to the file.

    The starter has loaded everything: what it would load only here, it would have twice.
    """
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        end_with(starter, signal.SIGTERM)
        use_output(output)
        os.chdir(settings.BASE_DIR)
        setproctitle("candlekeep fork server")
        adopt(env)
        check_once([SETTINGS_TAG])
        serve(requests, starter)
    except BaseException:  # nothing may go on in the starter's frames
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def serve(requests: socket.socket, starter: int) -> None:
    """Fork for each request until the starter closes the socket."""
    while True:
        text, files, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 1)
        if not text:
            return
        requests.send(str(fork(Request(**json.loads(text)), files[0], starter, requests)).encode())
        os.close(files[0])


def load(commands: Sequence[str]) -> None:
    """Import what the programs need; none of it may start a thread or connect to a server."""
    if sys.platform == "linux":
        # The C library would give each thread a heap of its own, and Python's threads take turns anyway.
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, MAX_ARENAS)
    gc.disable()  # nothing of what is made here is garbage
    django.setup()
    places = get_commands()
    for name in commands:
        load_command_class(places[name], name)
    for name in LATER:
        importlib.import_module(name)
    for model in apps.get_models(include_auto_created=True):
        str(model._base_manager.all().query)  # works out how the models are related
    run_checks()  # imports all views
    fill_pools()
    # Objects that no collection looks at again stay on pages that all forks share.
    gc.collect()
    leave_out_what_is_loaded()
    gc.enable()


def fill_pools() -> None:
    """Fill the free places between small objects, for good: a fork would put its own there, and copy page after page.

    CPython keeps objects of up to 512 bytes in pools by size. Once new ones lie one behind the other, they are in a
    fresh pool.
    """
    for size in range(48, 513, 16):
        found: list[bytes] = []
        before = in_a_row = 0
        while in_a_row < FRESH_POOL_OBJECTS and len(found) < MAX_FILLING_OBJECTS:
            found.append(bytes(size - EMPTY_BYTES_SIZE))
            place = id(found[-1])
            in_a_row = in_a_row + 1 if 0 < place - before <= 2 * size else 0
            before = place
        _filling.extend(found[:-FRESH_POOL_OBJECTS])


def check_once(tags: Sequence[str] | None = None) -> None:
    """Spare every command and the worker their checks if there is nothing to report; else they do so themselves.

    tags: of the checks that were not made before.
    """
    if not run_checks(tags=tags):
        os.environ["CELERY_SKIP_CHECKS"] = "1"
        BaseCommand.requires_system_checks = []


def fork(request: Request, output: int, starter: int, requests: socket.socket) -> int:
    """Fork a child of the starter, to which Linux gives the orphan of a process in between; return its number."""
    reading, writing = os.pipe()
    between = os.fork()
    if not between:
        between = os.getpid()
        if os.fork():
            os._exit(0)
        os.setsid()
        os.write(writing, str(os.getpid()).encode())
        os.close(reading)
        os.close(writing)
        requests.close()
        while os.getppid() == between:
            time.sleep(0.001)
        become(request, output, starter)
    os.close(writing)
    os.waitpid(between, 0)
    number = int(os.read(reading, 20))
    os.close(reading)
    return number


def become(request: Request, output: int, starter: int) -> None:
    """Be the program that was asked for, and end with it, or with the starter."""
    end_with(starter, request.orphan_signal)
    use_output(output)
    os.chdir(request.cwd)
    setproctitle(f"candlekeep {request.name}")

    try:
        if request.arguments[0] == "-m":
            sys.argv = request.arguments[1:]
            # What is loaded already, so that all forks share it, is run once more as the program.
            warnings.filterwarnings("ignore", "'.*' found in sys.modules", RuntimeWarning)
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = request.arguments
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ending:
        if not isinstance(ending.code, int | None):
            raise
        leave(ending.code or 0)
    leave(0)


def use_output(output: int) -> None:
    """Write to this file, line by line, and read nothing."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, output, output)):
        os.dup2(file, number)
    os.close(nothing)
    os.close(output)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def leave(code: int) -> NoReturn:
    """End as an interpreter ends, but leave the objects: to destroy them is to copy the memory that all forks share."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
