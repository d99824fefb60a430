"""Quiet the client: a line per request hides what a failing test has to say."""

from __future__ import annotations

import logging

logging.getLogger("httpx").setLevel(logging.WARNING)
