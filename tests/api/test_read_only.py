"""A database that takes no writes for a while is away: 503, and no connection of that time is kept."""

from __future__ import annotations

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client

from config.supervision import embedded_servers
from config.supervision.servers import write_refusal
from datastore.models import Market
from datastore.reference.markets import ensure_markets
from tests.support.postgres import Server, home, server

__all__ = ["home", "server"]


pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def url(server: Server) -> str:
    """Return the address of a server of our own, to which Django's connection points."""
    return embedded_servers.postgres_url(server.home, "postgres")


def turn(url: str, read_only: bool) -> None:
    """Set whether new sessions may write, and end those that there are."""
    with psycopg.connect(url, autocommit=True) as link:
        link.execute("set default_transaction_read_only = off")
        link.execute(f"alter database postgres set default_transaction_read_only = {'on' if read_only else 'off'}")
        link.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = %s",
            ["postgres"],
        )


def test_a_write_to_a_read_only_database_is_503_and_well_again_at_the_next_request(url: str) -> None:
    (market,) = ensure_markets(["coinbase:BTC-USD"])
    User.objects.create_user("admin", password="secret", is_staff=True)
    client = Client(raise_request_exception=False)
    login = {"username": "admin", "password": "secret"}
    turn(url, read_only=True)
    connection.close()
    try:
        assert write_refusal(url) == "the database is read-only"
        assert client.post("/admin/login/", login).status_code == 503
        assert client.get("/api/v1/markets").status_code == 200, "reading goes on"
        with pytest.raises(OperationalError, match="read-only"):
            Market.objects.filter(pk=market.pk).update(followed=True)
    finally:
        turn(url, read_only=False)
    assert write_refusal(url) is None
    connection.close_if_unusable_or_obsolete()  # as each request ends outside of Django's test client
    assert client.post("/admin/login/", login).status_code == 302
    assert Market.objects.filter(pk=market.pk).update(followed=True) == 1
