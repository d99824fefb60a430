"""The base address of the API: what answers here, and where to go on."""

from __future__ import annotations

from django.test import Client

from config.version import VERSION
from datastore.models import Market
from tests.support.api.rows import body_of

ROOT = "/api/v1/"


def test_the_root_names_the_program_and_its_version(client: Client, db: None) -> None:
    body = body_of(client, ROOT)
    assert (body["name"], body["version"]) == ("Candlekeep", VERSION)


def test_every_link_of_the_root_leads_somewhere(client: Client, market: Market) -> None:
    links = body_of(client, ROOT)["links"]
    assert list(links) == ["docs", "schema", "markets"]
    assert {client.get(address).status_code for address in links.values()} == {200}


def test_the_root_takes_no_parameters(client: Client, db: None) -> None:
    assert list(body_of(client, f"{ROOT}?market=x", 400)["errors"]) == ["market"]


def test_what_is_not_served_is_still_not_found(client: Client, db: None) -> None:
    assert body_of(client, f"{ROOT}nothing", 404)["status"] == 404
