from __future__ import annotations

import pytest
from django.core.management import call_command

from datastore.db.queries import fetch_value

# Those of an extension are not ours.
FUNCTIONS = (
    "select count(*) from pg_proc p where p.pronamespace = 'public'::regnamespace"
    " and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')"
)


@pytest.mark.django_db(transaction=True)
def test_the_functions_can_be_taken_back_and_loaded_again() -> None:
    before = fetch_value(FUNCTIONS)
    call_command("migrate", "datastore", "zero", verbosity=0)
    assert fetch_value(FUNCTIONS) == 0
    call_command("migrate", verbosity=0)
    assert fetch_value(FUNCTIONS) == before > 15


@pytest.mark.django_db
def test_the_models_are_what_the_migrations_make() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
