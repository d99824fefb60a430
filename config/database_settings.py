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
    if pool:
        options["pool"] = {"min_size": 1, "max_size": pool, "timeout": 5}
    # A pooled connection may be older than the server behind it: check it before use.
    return {"default": parts | {"ENGINE": "config.database", "CONN_HEALTH_CHECKS": bool(pool)}}
