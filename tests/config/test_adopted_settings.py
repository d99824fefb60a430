"""Settings that a process reads again, as in the fork of `up` from which the others are forked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support import forked_python

pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, sys
import django
django.setup()
from celery import current_app
from django.conf import settings
from django.core.cache import caches
from django.db import connections
from config.supervision.adopted_settings import adopt

settings.REDIS_URL, connections["default"].settings_dict, caches["default"], current_app.conf.broker_url
adopt({**os.environ, **json.loads(sys.argv[1])})
print(json.dumps({
    "database": connections["default"].settings_dict["HOST"],
    "cache": caches["default"]._server.split("?")[0],
    "broker": current_app.conf.broker_url,
    "stream": settings.STREAM_URL,
    "secret": settings.SECRET_KEY,
}))
"""


def test_another_environment_reaches_database_cache_and_jobs_that_were_looked_at_before(tmp_path: Path) -> None:
    script = tmp_path / "adopts.py"
    script.write_text(SCRIPT)
    given = {
        "DATABASE_URL": "postgresql://me@elsewhere:1/candlekeep",
        "REDIS_URL": "redis://elsewhere:2/0",
        "SECRET_KEY": "another",
    }
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "CANDLEKEEP_HOME": str(tmp_path)}
    answer = forked_python.run(str(script), json.dumps(given), env=env, timeout=60)
    assert json.loads(answer.stdout) == {
        "database": "elsewhere",
        "cache": "redis://elsewhere:2/0",
        "broker": "redis://elsewhere:2/0",
        "stream": "redis://elsewhere:2/0",
        "secret": "another",
    }, answer.stderr
