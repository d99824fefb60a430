from __future__ import annotations

import pytest
from django.core.cache import cache
from django.db import connection


@pytest.mark.django_db
def test_the_private_servers_answer_with_the_versions_we_ship() -> None:
    with connection.cursor() as cursor:
        cursor.execute("show server_version_num")
        assert int(cursor.fetchone()[0]) >= 180000
    cache.set("answer", 42, 5)
    assert cache.get("answer") == 42
