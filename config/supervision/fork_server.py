"""The process from which others are forked: a fork of `up`, or `python -m config.supervision.fork_server …`.

Importing Django and the libraries costs a process more than a second and most of its memory. This one does it once,
before it has a thread or a connection, and what is forked from it shares both. It answers a request with a process
number.
"""

from __future__ import annotations

import atexit
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
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import BaseCommand, get_commands, load_command_class
from setproctitle import setproctitle

from config.supervision.adopted_settings import adopt
from config.supervision.guard import end_with

MAX_REQUEST_BYTES = 65_536
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
    stop_signal: int


def main(argv: list[str]) -> None:
    """Load everything, then fork for each request until the starter closes the socket."""
    serve(socket.socket(fileno=int(argv[0])), int(argv[1]), argv[2:])


def begin_here(
    requests: socket.socket, output: int, starter: int, env: Mapping[str, str], commands: Sequence[str]
) -> NoReturn:
    """Be the server in a fork of the starter, which had no thread and no connection; its output goes to the file."""
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
        serve(requests, starter, commands)
    except BaseException:  # nothing may go on in the starter's frames
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def serve(requests: socket.socket, starter: int, commands: Sequence[str]) -> None:
    """Load everything, then fork for each request until the starter closes the socket."""
    load(commands)
    while True:
        text, files, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 1)
        if not text:
            return
        requests.send(str(fork(Request(**json.loads(text)), files[0], starter, requests)).encode())
        os.close(files[0])


def load(commands: Sequence[str]) -> None:
    """Import what the programs need; none of it may start a thread or connect to a server."""
    gc.disable()  # nothing of what is made here is garbage
    django.setup()
    apps = get_commands()
    for name in commands:
        load_command_class(apps[name], name)
    for name in LATER:
        importlib.import_module(name)
    # Every command and the worker check before they run, which imports all views. Where there is something to report,
    # they do so themselves.
    if not run_checks():
        os.environ["CELERY_SKIP_CHECKS"] = "1"
        BaseCommand.requires_system_checks = []
    # Objects that no collection looks at again stay on pages that all forks share.
    gc.collect()
    gc.freeze()
    gc.enable()


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
    end_with(starter, request.stop_signal)
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
