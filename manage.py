#!/usr/bin/env python
"""Run Candlekeep's commands."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; what the user can fix is reported in one line, not as a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from config.command_line import run

    sys.exit(run(sys.argv))


if __name__ == "__main__":
    main()
