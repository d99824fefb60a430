"""Small programs for a supervisor to start."""

from __future__ import annotations

import os
import sys

from config.supervision.child import Program

FOREVER = "print('ready', flush=True)\nimport time\ntime.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER


def program(code: str, name: str = "child", **more: object) -> Program:
    return Program(name, (sys.executable, "-c", code), dict(os.environ), **more)  # type: ignore[arg-type]
