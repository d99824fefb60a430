"""The test's database: its address for processes that a test starts, and how it is emptied."""

from __future__ import annotations

from django.db import connection, transaction

# Only migrations write these; making them again after each test would take longer than most tests.
OF_MIGRATIONS = {"django_content_type", "auth_permission"}
MANY = 1000  # rows; more are not deleted one by one


def database_url() -> str:
    """Return the address of this test's database."""
    values = connection.settings_dict
    return f"postgresql://{values['USER']}@/{values['NAME']}?host={values['HOST']}&port={values['PORT']}"


def empty_tables() -> None:
    """Remove every row that a test may have written.

    Django's own flush truncates all 40 tables and makes content types and permissions again. A test writes to few of
    them, and deleting some rows is much faster than truncating: that takes a new file per table and index.
    """
    found = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = sorted(set(found) - OF_MIGRATIONS)
    rows = "select '{0}', (select count(*) from (select 1 from {0} limit {1}) as row) as rows"
    counts = " union all ".join(rows.format(table, MANY) for table in tables)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"select * from ({counts}) as counted where rows > 0")  # noqa: S608 - names of our own tables
        for table, count in cursor.fetchall():
            cursor.execute(f"truncate {table} cascade" if count == MANY else f"delete from {table}")  # noqa: S608
