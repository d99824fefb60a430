"""Django's databases: one PostgreSQL, given by its address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ


def databases(url: str, home: Path, pool: int) -> dict[str, Any]:
    """Return Django's DATABASES; pool: how many connections the threads of a process share, 0: each has its own."""
    # So that `up` and `check` work before there is a server; manage.py says how to start one.
    absent = {"NAME": "candlekeep", "USER": "postgres", "HOST": str(home / "postgres"), "PORT": "5432"}
    parts: dict[str, Any] = environ.Env.db_url_config(url) if url else absent
    options = parts.setdefault("OPTIONS", {})
    for name in ("host", "port"):
        parts[name.upper()] = options.pop(name, parts[name.upper()])
    options["connect_timeout"] = 5
    options["application_name"] = "candlekeep"
    found = parts | {"ENGINE": "config.database"}
    share_connections(found, pool)
    return {"default": found}


def share_connections(database: dict[str, Any], size: int, max_idle_s: float = 600) -> None:
    """Let the threads of a process share so many connections to a database of DATABASES, 0: each has its own.

    max_idle_s: one that was not needed for so long is closed, unless it is the last.
    """
    if size:
        limits = {"min_size": 1, "max_size": size, "max_idle": max_idle_s}
        database["OPTIONS"]["pool"] = {**limits, "timeout": 5, "num_workers": 1}
    # A pooled connection may be older than the server behind it: check it before use.
    database["CONN_HEALTH_CHECKS"] = bool(size)
