"""The test's database, for processes that a test starts."""

from __future__ import annotations

from django.db import connection


def database_url() -> str:
    """Return the address of this test's database."""
    values = connection.settings_dict
    return f"postgresql://{values['USER']}@/{values['NAME']}?host={values['HOST']}&port={values['PORT']}"
