"""Python processes with an environment of their own, forked from one that has loaded Django and the libraries.

Each imports Candlekeep's own modules itself, so settings.py reads the environment that it is given; only the libraries
are there already. `python -m tests.support.config.warm_python` reads a JSON line per process and answers its status.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OWN = ("actor_runtime", "config", "consumers", "coordination", "datastore", "ingestion", "metering", "streaming")


class WarmPython:
    """The process from which others are forked; use as a context manager."""

    def __enter__(self) -> WarmPython:
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, *argv: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run `python manage.py …` or `python -c …`."""
        assert self._process.stdin and self._process.stdout
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            print(json.dumps({"argv": argv, "env": env, "files": [out.name, err.name]}), file=self._process.stdin)
            self._process.stdin.flush()
            status = int(self._process.stdout.readline())
            texts = [Path(file.name).read_text() for file in (out, err)]
        return subprocess.CompletedProcess(argv, status, *texts)


def _load() -> None:
    """Import the libraries by importing what imports them, and forget the latter."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["CANDLEKEEP_HOME"] = home
        runpy.run_module("config.settings")
        runpy.run_module("config.command_line")
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]


def _become(argv: list[str], env: dict[str, str], files: list[str]) -> None:
    """Be the process that was asked for; its end is this one's."""
    os.environ.clear()
    os.environ.update(env)
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY), number)
    if argv[0] == "-c":
        exec(argv[1], {"__name__": "__main__"})  # noqa: S102 - the test's own code
    else:
        sys.argv = argv
        runpy.run_path(str(ROOT / argv[0]), run_name="__main__")


def main() -> None:
    """Fork for each line."""
    _load()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(**json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
