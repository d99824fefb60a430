"""The product's web process with two empty views added, for comparison."""

from __future__ import annotations

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"

from django.conf import settings

settings.ROOT_URLCONF = "benchmarks.urls"

from config.wsgi import application  # noqa: E402 - the addresses are looked up when it is made

__all__ = ["application"]
