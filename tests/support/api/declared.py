"""Answers held against the OpenAPI document: status, media type, headers and, unless it is a big one, the body."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from datastore.api.openapi.document import document

MOST = 100_000  # bytes that are held against a schema
# Where there is a limit; of answers in another form than json.
OPTIONAL = ("RateLimit-", "Candlekeep-", "Content-Disposition", "Link")
PROBLEM = {"$ref": "#/components/responses/BadRequest"}


@cache
def declared() -> Any:
    """Return the document as a reader gets it."""
    return json.loads(json.dumps(document()))


def operations() -> dict[tuple[str, str], Any]:
    """Return the operations of the document by address and method."""
    return {
        (path, method.upper()): operation
        for path, methods in declared()["paths"].items()
        for method, operation in methods.items()
    }


def check(response: Any) -> tuple[str, str, int] | None:
    """Return address, method and status of an answer that is as declared; None for an address that leads nowhere."""
    method = response.request["REQUEST_METHOD"].replace("HEAD", "GET")
    path = address(response.request["PATH_INFO"])
    operation = operations().get((path, method))
    if operation is None:
        return None
    answer = whole(expected(operation, response.status_code))
    headers_fit(response, answer.get("headers", {}))
    if response.request["REQUEST_METHOD"] != "HEAD":
        body_fits(response, answer.get("content"))
    return path, method, response.status_code


def address(path: str) -> str:
    """Return the declared address that a path is one of."""
    for declared_path in declared()["paths"]:
        pattern = re.sub(r"\\{(\w+)\\}", _part, re.escape(declared_path))
        if re.fullmatch(pattern, path, re.DOTALL):
            return str(declared_path)
    return path


def _part(found: re.Match[str]) -> str:
    return {"number": "[0-9]{1,18}", "asked": ".+"}.get(found[1], "[^/]+")


def expected(operation: Any, status: int) -> Any:
    """Return what is declared for a status; of problems, any may be given."""
    answer = operation["responses"].get(str(status), PROBLEM if status >= 400 else None)
    assert answer is not None, f"{operation['operationId']} declares no {status}"
    return answer


def whole(part: Any) -> Any:
    """Return a part of the document, followed where it only refers to another."""
    if "$ref" not in part:
        return part
    found = declared()
    for step in part["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def headers_fit(response: Any, headers: dict[str, Any]) -> None:
    for name, header in headers.items():
        value = response.headers.get(name)
        if value is None:
            assert name.startswith(OPTIONAL), f"{name} is declared and absent"
            continue
        schema = whole(header)["schema"]
        fits(int(value) if schema.get("type") == "integer" else value, schema)


def body_fits(response: Any, content: Any) -> None:
    if content is None:
        assert response.content == b""
        return
    kind = response["Content-Type"].partition(";")[0]
    assert kind in content, f"{kind} is not declared"
    if response.streaming:
        return
    if (
        kind.endswith(("/json", "+json"))
        and "Content-Encoding" not in response.headers
        and len(response.content) <= MOST
    ):
        fits(json.loads(response.content), content[kind]["schema"])


def fits(value: Any, schema: Any) -> None:
    """Raise ValidationError where a value is not what a schema of the document says."""
    Draft202012Validator({**schema, "components": declared()["components"]}).validate(value)
