#!/usr/bin/env python
"""Run Candlekeep's commands."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Hand the command line to Django; what a user can mend is one line, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from config.command_line import run

    sys.exit(run(sys.argv))


if __name__ == "__main__":
    main()
