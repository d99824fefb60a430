"""The SQL functions are brought up to date after every `migrate`, whatever an older version left."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import InternalError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from datastore.db import functions
from datastore.db.functions import FILES, MARK, make_functions
from datastore.db.queries import execute, fetch_all, fetch_value
from datastore.db.sql_files import FOLDER, script

pytestmark = pytest.mark.django_db

ROWS = "select oid, xmin::text, obj_description(oid, 'pg_proc') from pg_proc where proname = %s order by pronargs"
COMMENTS = "select distinct obj_description(oid, 'pg_proc') from pg_proc where obj_description(oid, 'pg_proc') like %s"
DIGEST = "create or replace function digest(for_market int) returns text"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the text of the functions' files, to be changed by a test."""
    texts = {f"functions/{name}": script(f"functions/{name}") for name in FILES}
    monkeypatch.setattr(functions, "script", texts.__getitem__)
    return texts


def edit(files: dict[str, str], old: str, new: str) -> None:
    name = next(name for name, text in files.items() if old in text)
    files[name] = files[name].replace(old, new)
    make_functions()


def found(name: str) -> list[tuple[int, str, str]]:
    return fetch_all(ROWS, [name])


def test_every_file_is_made() -> None:
    assert sorted(FILES) == sorted(path.stem for path in (FOLDER / "functions").iterdir())


def test_nothing_is_done_if_nothing_changed() -> None:
    before = found("settle")
    call_command("migrate", verbosity=0)
    assert found("settle") == before
    ((mark,),) = fetch_all(COMMENTS, [MARK + "%"])
    assert before[0][2] == mark


def test_a_function_that_does_something_else_is_replaced_in_place(files: dict[str, str]) -> None:
    ((digest, made, mark),) = found("digest")
    execute("create view uses_it as select digest(1)")
    edit(files, "'hex'", "'base64'")
    ((same, later, new),) = found("digest")
    assert same == digest and later != made and new != mark
    assert len(fetch_all(COMMENTS, [MARK + "%"])) == 1


def test_a_function_that_returns_something_else_is_made_again(files: dict[str, str]) -> None:
    ((before, _, _),) = found("lock_market")
    files["functions/candles"] = files["functions/candles"].replace(
        "perform lock_market(for_market);", "perform lock_market(for_market, 1);"
    )
    edit(
        files,
        "function lock_market(for_market int) returns boolean",
        "function lock_market(for_market int, tries int) returns boolean",
    )
    ((after, _, _),) = found("lock_market")
    assert after != before
    edit(
        files,
        "function lock_market(for_market int, tries int) returns boolean",
        "function lock_market(for_market int, tries int) returns int",
    )
    ((last, _, _),) = found("lock_market")
    assert last != after


def test_a_function_that_is_no_longer_in_the_files_is_dropped(files: dict[str, str]) -> None:
    files["functions/verify"] = ""
    make_functions()
    assert found("differences") == []


def test_functions_of_others_stay_as_they_are(files: dict[str, str]) -> None:
    execute("create function digest(text) returns text language sql return $1")
    ((_, _, none), ours) = sorted(found("digest"), key=lambda row: row[2] is not None)
    assert none is None and ours[2].startswith(MARK)
    files["functions/candles"] = files["functions/candles"][: files["functions/candles"].index(DIGEST)]
    make_functions()
    assert [comment for _, _, comment in found("digest")] == [None]


def test_a_view_over_a_function_that_must_go_stops_the_step_and_nothing_has_changed(files: dict[str, str]) -> None:
    execute("create view uses_it as select digest(1)")
    before = found("settle")
    with pytest.raises(InternalError, match="uses_it"), transaction.atomic():
        edit(files, DIGEST, "create or replace function digest(for_market int) returns varchar")
    assert found("settle") == before


def test_a_function_that_somebody_dropped_is_made_again() -> None:
    execute("drop function settle")
    make_functions()
    assert len(found("settle")) == 1


def test_nothing_is_made_before_all_migrations_are_applied() -> None:
    execute("drop function settle")
    ((_, newest),) = MigrationLoader(connection).graph.leaf_nodes("datastore")
    MigrationRecorder(connection).record_unapplied("datastore", newest)
    make_functions()
    assert found("settle") == []


def test_functions_of_a_database_from_before_the_marks_are_taken_over() -> None:
    oids = fetch_value(
        "select array_agg(oid::regprocedure::text) from pg_proc where starts_with(obj_description(oid), %s)", [MARK]
    )
    for signature in oids:
        execute(f"comment on function {signature} is null")
    make_functions()
    assert len(fetch_all(COMMENTS, [MARK + "%"])) == 1
    count = "select count(*) from pg_proc where starts_with(obj_description(oid, 'pg_proc'), %s)"
    assert fetch_value(count, [MARK]) == len(oids) > 20
