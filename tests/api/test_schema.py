"""The OpenAPI document: true, complete, and nothing beyond what is served."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator, ValidationError

from datastore.api import urls
from datastore.api.binance import urls as binance_urls
from datastore.api.openapi import document as document_module
from datastore.api.openapi.document import document, rendered
from datastore.api.udf import urls as udf_urls
from datastore.models import Market
from tests.support.api.declared import check, declared, fits, operations, whole
from tests.support.api.routes import served
from tests.support.api.rows import SYMBOL, Feed, body_of
from tests.support.datastore.records import store

SCHEMA, DOCS = "/api/v1/schema", "/api/v1/docs"
PLACES = {"{number}": "1", "{asked}": SYMBOL, "{kind}": "producer", "{name}": "nobody"}
# Designed, and not served yet.
NOT_SERVED = "reconciliation|digests"


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a part of the document."""
    if isinstance(node, dict):
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from parts(value)


def test_the_document_is_valid_openapi_and_made_without_a_warning() -> None:
    made = document()
    assert (dict(GENERATOR_STATS._warn_cache), dict(GENERATOR_STATS._error_cache)) == ({}, {})
    assert made["openapi"].startswith("3.1")
    validate_schema(made)


def test_every_schema_is_one_and_every_object_is_closed() -> None:
    for name, schema in declared()["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        for part in parts(schema):
            if "properties" in part and part.get("type") == "object":
                assert part["additionalProperties"] is False, name


def test_every_reference_leads_somewhere_and_every_component_is_referred_to() -> None:
    named = [part["$ref"] for part in parts(declared()) if "$ref" in part]
    assert all(whole({"$ref": name}) for name in named)
    components = declared()["components"]
    made = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses", "headers") for name in components[kind]}
    assert set(named) == made
    secured = {name for part in operations().values() for choice in part["security"] for name in choice}
    assert secured == set(components["securitySchemes"])


def test_every_example_fits_its_schema() -> None:
    shown = [part for part in parts(declared()) if "example" in part and "schema" in part]
    for part in shown:
        fits(part["example"], part["schema"])
    assert len(shown) > len(declared()["components"]["responses"])
    several = [part for part in parts(declared()["components"]["schemas"]) if isinstance(part.get("examples"), list)]
    assert several
    for part in several:
        fits(part["examples"][0], part)


def test_every_route_and_method_is_in_the_document_and_no_other() -> None:
    def spelled(route: str) -> str:
        return re.sub(r"<\w+:(\w+)>|\(\?P<(\w+)>[^)]*\)", r"{\1\2}", route).strip("^$")

    everything = {
        (base + spelled(route), method)
        for base, module in (("/api/v1/", urls), ("/udf/", udf_urls), ("/binance/", binance_urls))
        for route, method in served(module.urlpatterns)
    }
    assert set(operations()) == everything


def test_every_operation_has_a_name_of_its_own_and_a_summary() -> None:
    assert set(Counter(each["operationId"] for each in operations().values()).values()) == {1}
    assert all(each["summary"] and each["tags"] for each in operations().values())


def test_what_is_not_served_is_not_declared() -> None:
    assert re.findall(NOT_SERVED, rendered("json")[0].decode(), re.IGNORECASE) == []


def ask(client: Client, path: str, method: str, key: str, values: dict[str, str]) -> Any:
    """Ask an address by its declared spelling, with parameters where it takes them; return its complaints by field."""
    for name, value in PLACES.items():
        path = path.replace(name, value)
    if method == "GET":
        response = client.get(path, values, headers={"X-API-Key": key})
    else:
        response = client.post(path, json.dumps(values), "application/json", headers={"X-API-Key": key})
    return json.loads(response.content)["errors"] if response.status_code == 400 else {}


def fields(operation: Any) -> tuple[list[str], set[str]]:
    """Return the names that an operation declares for its query or body, and those that it needs."""
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        return list(schema["properties"]), set(schema["required"])
    asked = [each for each in operation["parameters"] if each["in"] == "query"]
    return [each["name"] for each in asked], {each["name"] for each in asked if each["required"]}


# Those of other interfaces refuse in other shapes (test_udf.py, test_binance.py).
OURS = {each: operation for each, operation in operations().items() if each[0].startswith("/api/v1/")}
READING_QUERY_OR_BODY = [each for each, operation in OURS.items() if each[1] == "GET" or "requestBody" in operation]


@pytest.mark.parametrize("route", READING_QUERY_OR_BODY, ids=" ".join)
def test_what_is_accepted_is_declared_and_what_is_declared_is_accepted(
    client: Client, market: Market, write_key: str, route: tuple[str, str]
) -> None:
    names, required = fields(operations()[route])
    errors = ask(client, *route, write_key, {"nonsense": "1"})
    # The API's own words: what it accepts, and what is missing.
    assert errors.pop("nonsense") == [f"is not a parameter here. Accepted: {', '.join(names) or 'none'}."]
    assert errors == {name: ["is missing."] for name in required}


def test_declared_values_are_those_that_are_parsed(client: Client, market: Market, read_key: str) -> None:
    for (path, method), operation in OURS.items():
        asked = [each for each in operation["parameters"] if each["in"] == "query"]
        needed = {each["name"]: each["example"] for each in asked if each["required"]}
        for name, schema in ((each["name"], each["schema"]) for each in asked):
            for value, good in edges_of(schema):
                errors = ask(client, path, method, read_key, {**needed, name: value})
                # A complaint about what was sent repeats it; others are about the whole range.
                refused = any(complaint.startswith("'") for complaint in errors.get(name, ()))
                assert refused != good, (path, name, value)


def edges_of(schema: Any) -> list[tuple[str, bool]]:
    """Return texts at the edges of a schema, and whether they are inside."""
    if "enum" in schema:
        return [*((value, True) for value in schema["enum"]), ("nonsense", False)]
    if "anyOf" in schema:
        edges = [edge for each in schema["anyOf"] for edge in edges_of(each)]
        return [*edges, ("2026-11-23", True), ("2026-11-23T14:30:00Z", True)]
    if "minimum" not in schema:
        return []
    low = schema["minimum"]
    outside = schema["exclusiveMaximum"] if "exclusiveMaximum" in schema else schema["maximum"] + 1
    return [(str(low), True), (str(low - 1), False), (str(outside - 1), True), (str(outside), False)]


def test_an_answer_that_changes_no_longer_fits(client: Client, market: Market) -> None:
    feed = Feed()
    store(feed.opened(), feed.trade(1, "5"), feed.watermark(60))
    body = body_of(client, f"/api/v1/candles?market={SYMBOL}&timeframe=1m")
    candles = {"$ref": "#/components/schemas/Candles"}
    fits(body, candles)
    (row,) = body["candles"]
    changed = [
        {**body, "new": 1},
        {name: value for name, value in body.items() if name != "watermark"},
        {**body, "candles": [row[:-1]]},
        {**body, "candles": [[*row, 1]]},
        {**body, "candles": [[str(row[0]), *row[1:]]]},
        {**body, "version": "1"},
    ]
    for other in changed:
        with pytest.raises(ValidationError):
            fits(other, candles)


def test_the_document_is_served_as_it_is_made_and_asked_for_again_by_its_etag(client: Client, db: None) -> None:
    response = client.get(SCHEMA)
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert json.loads(response.content) == declared()
    again = client.get(SCHEMA, headers={"If-None-Match": response["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    packed = client.get(SCHEMA, headers={"Accept-Encoding": "gzip"})
    assert (packed["Content-Encoding"], packed["ETag"]) == ("gzip", response["ETag"])


def test_yaml_says_the_same(client: Client, db: None) -> None:
    response = client.get(f"{SCHEMA}?format=yaml")
    assert response["Content-Type"] == "application/yaml"
    assert yaml.safe_load(response.content) == declared()


def test_it_is_made_once_per_process(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Any:
        raise AssertionError("made again")

    first = client.get(SCHEMA).content
    monkeypatch.setattr(document_module, "document", never)
    assert client.get(SCHEMA).content == first


def test_where_a_key_is_needed_the_document_says_so(client: Client, read_key: str, settings: Any) -> None:
    def readers() -> Any:
        body = json.loads(client.get(SCHEMA, headers={"X-API-Key": read_key}).content)
        return body["paths"]["/api/v1/candles"]["get"]["security"]

    assert {} in readers()
    settings.REQUIRE_API_KEY = True
    assert readers() and {} not in readers()


@pytest.mark.parametrize("address", [SCHEMA, DOCS])
def test_both_addresses_have_a_rate_limit(client: Client, db: None, settings: Any, address: str) -> None:
    settings.RATE_LIMIT_PER_ADDRESS = 1
    left = [int(client.get(address)["RateLimit-Remaining"]) for _ in range(2)]
    assert left[1] < left[0]


def test_the_page_may_follow_streams_where_the_api_leads_to(client: Client, db: None, settings: Any) -> None:
    settings.SSE_URL, settings.SSE_PORT = "", 8001
    assert "connect-src 'self' http://testserver:8001;" in client.get(DOCS)["Content-Security-Policy"]
    settings.SSE_URL = "https://candles.example.org/live"
    assert "connect-src 'self' https://candles.example.org;" in client.get(DOCS)["Content-Security-Policy"]


def test_the_page_lets_nothing_in_from_another_host(client: Client, db: None) -> None:
    page = client.get(DOCS)
    assert page["Content-Type"].startswith("text/html")
    assert check(page) == (DOCS, "GET", 200)
    assert "default-src 'none'" in page["Content-Security-Policy"]
    assert "script-src 'self';" in page["Content-Security-Policy"]
    files = re.findall(r'(?:src|href)="([^"]*)"', page.content.decode())
    assert all(file.startswith("/") and not file.startswith("//") for file in files)
    assert all(finders.find(file.removeprefix("/static/")) for file in files if file.startswith("/static/"))
