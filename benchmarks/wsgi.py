"""The product's web process with two empty views added, for comparison: `python -m benchmarks.wsgi`."""

from __future__ import annotations

from django.conf import settings

from config.supervision.web import main

if __name__ == "__main__":
    settings.ROOT_URLCONF = "benchmarks.urls"  # the process's worker is forked from it
    main()
