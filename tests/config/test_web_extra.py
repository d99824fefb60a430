"""The web worker loads what Arrow and Parquet need before the first question for these, if they are used at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django_redis import get_redis_connection

from datastore.series.columnar_use import USED, note_use

pytestmark = pytest.mark.slow
BEGIN = """
import sys, threading
from config.supervision.web import pooled_application
assert "pyarrow" not in sys.modules
assert callable(pooled_application())
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join()
print(sys.modules.keys() >= {"pyarrow.parquet", "datastore.series.columnar_format"})
"""


def begin(folder: Path) -> str:
    """Return what a worker prints that has begun, with this folder before all others."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}){BEGIN}"
    done = subprocess.run([sys.executable, "-c", code], cwd=settings.BASE_DIR, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.fixture
def used() -> Iterator[None]:
    """Arrow, Parquet or Feather was asked for lately."""
    note_use()
    yield
    get_redis_connection("hot").delete(USED)


def test_who_never_asks_for_these_formats_pays_nothing(tmp_path: Path) -> None:
    get_redis_connection("hot").delete(USED)
    assert begin(tmp_path) == "False"


@pytest.mark.usefixtures("used")
def test_what_they_need_is_loaded_when_the_worker_begins(tmp_path: Path) -> None:
    assert begin(tmp_path) == "True"


@pytest.mark.usefixtures("used")
def test_without_the_extra_the_worker_begins_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError")
    assert begin(tmp_path) == "False"
