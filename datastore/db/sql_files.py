"""The files of datastore/sql.

`queries/` holds named statements (`-- name:` before each), `functions/` the SQL functions as they are today,
`engines/` the conversion to TimescaleDB and back, `migrations/` what numbered migrations ran: those are never edited.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "sql"
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def statement(file: str, name: str) -> str:
    """Return the statement with this name in sql/queries/<file>.sql; raise KeyError if there is none."""
    return _statements(file)[name]


def script(name: str) -> str:
    """Return the text of sql/<name>.sql, for example of `engines/timescale`."""
    return (FOLDER / f"{name}.sql").read_text()


@cache
def _statements(file: str) -> dict[str, str]:
    _, *parts = _NAME.split((FOLDER / "queries" / f"{file}.sql").read_text())
    return {name: text.strip().rstrip(";") for name, text in zip(parts[::2], parts[1::2], strict=True)}
