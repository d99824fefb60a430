"""The body of a POST: a JSON object of texts, whole numbers and flags, read as a query is."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from datastore.api.errors import BadParameters

FLAGS = {True: "true", False: "false"}
ACCEPTED = "Accepted: texts and whole numbers"


class JsonBody(JSONParser):
    """Reads JSON; a body that is nested too deeply is as bad as one that is not JSON."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the value. Raises ParseError."""
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("JSON parse error - it is nested too deeply") from None


def posted(request: Request, flags: Container[str] = ()) -> dict[str, list[str]]:
    """Return the body as a query: texts and whole numbers by name. Raises BadParameters with all other values.

    flags: the names whose value may also be true or false.
    """
    body = request.data
    if not isinstance(body, Mapping):
        raise BadParameters({"body": [f"is not a JSON object. {ACCEPTED} by name."]})
    found = {name: _plain(value, name in flags) for name, value in body.items()}
    # By type, not isinstance: true is not a number here.
    if wrong := [name for name, value in found.items() if type(value) not in (str, int)]:
        raise BadParameters({name[:60]: [f"is neither text nor a whole number. {ACCEPTED}."] for name in wrong})
    return {name: [str(value)] for name, value in found.items()}


def _plain(value: Any, is_flag: bool) -> Any:
    """Return a flag as text, and as a whole number what is one: to JSON 1.0 is 1."""
    if type(value) is bool and is_flag:
        return FLAGS[value]
    return int(value) if type(value) is float and value.is_integer() else value
