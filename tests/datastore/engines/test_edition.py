"""What a database is and could be, by what its settings and catalog say."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from config import checks
from config.supervision import first_start
from config.supervision.errors import StartError
from datastore.engines import rollups
from datastore.engines.edition import HINTS, Case, TimescaleEdition, timescale_edition

PLAIN = TimescaleEdition(turned=False, loaded=False, license=None, version=None)
READY = TimescaleEdition(turned=False, loaded=True, license="timescale", version="2.28.3")
PERHAPS = TimescaleEdition(turned=False, loaded=True, license=None, version="2.28.3")
TURNED = TimescaleEdition(turned=True, loaded=True, license="timescale", version="2.28.3")


@pytest.mark.parametrize(
    ("found", "case"),
    [
        (PLAIN, Case.PLAIN),
        (TimescaleEdition(False, False, None, "2.28.3"), Case.NOT_LOADED),
        (TimescaleEdition(False, True, "apache", "2.28.3"), Case.APACHE),
        (TimescaleEdition(False, True, "timescale", "2.27.2"), Case.TOO_OLD),
        (READY, Case.READY),
        (PERHAPS, Case.PERHAPS),
        (TimescaleEdition(False, True, "timescale", "2.29.0-dev"), Case.READY),
        (TimescaleEdition(False, True, "timescale", "3.0.0"), Case.READY),
        (TURNED, Case.CONVERTED),
        (TimescaleEdition(True, True, "apache", "2.28.3"), Case.LIMITED),
        (TimescaleEdition(True, False, None, "2.28.3"), Case.UNLOADED),
    ],
)
def test_every_case_is_told_in_one_sentence_with_what_to_do(found: TimescaleEdition, case: Case) -> None:
    assert found.case is case
    assert "\n" not in found.told and (found.version is None or case is Case.TOO_OLD or found.version in found.told)
    assert (found.hint is None) == (case in (Case.PLAIN, Case.CONVERTED)) == (case not in HINTS)


@pytest.mark.django_db
def test_our_own_server_is_plain() -> None:
    assert timescale_edition() == PLAIN
    assert isinstance(rollups.rollups(), rollups.Plain)
    assert checks.engine(databases=["default"]) == []
    out = StringIO()
    call_command("timescale", "--plain", stdout=out)
    assert out.getvalue() == "plain PostgreSQL.\n"


@pytest.mark.django_db
def test_nothing_is_turned_where_the_server_cannot() -> None:
    with pytest.raises(CommandError, match=r"^plain PostgreSQL\.$"):
        call_command("timescale")
    with pytest.raises(rollups.CannotConvert):
        rollups.convert_back()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (PLAIN, []),
        (TURNED, []),
        (TimescaleEdition(False, False, None, "2.28.3"), ["candlekeep.I010"]),
        (TimescaleEdition(False, True, "apache", "2.28.3"), ["candlekeep.I010"]),
        (TimescaleEdition(False, True, "timescale", "2.20.0"), ["candlekeep.I010"]),
        (READY, ["candlekeep.W010"]),
        (PERHAPS, ["candlekeep.I010"]),
        (TimescaleEdition(True, True, "apache", "2.28.3"), ["candlekeep.E010"]),
        (TimescaleEdition(True, False, None, "2.28.3"), ["candlekeep.E010"]),
    ],
)
def test_a_check_tells_what_the_server_could_do_or_must_not(found: TimescaleEdition, expected: list[str]) -> None:
    messages = checks.engine_messages(found)
    assert [message.id for message in messages] == expected
    assert [message.hint for message in messages] == ([found.hint] if expected else [])


@pytest.mark.parametrize(
    "found", [TimescaleEdition(True, True, "apache", "2.28.3"), TimescaleEdition(True, False, None, "2.28.3")]
)
def test_a_start_on_a_hypertable_that_nobody_serves_is_refused(found: TimescaleEdition) -> None:
    with pytest.raises(StartError, match="cannot be used: the trades are a TimescaleDB"):
        first_start.refuse_broken(found)


@pytest.mark.django_db
def test_a_start_on_our_own_server_says_that_it_is_plain() -> None:
    assert first_start.migrate() == "plain PostgreSQL"
    assert checks.conversion_was_skipped(connection), "the migration has been here"
