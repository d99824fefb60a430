"""What the API answers instead of what was asked for. Each becomes problem+json in problem.py.

Problem
├── BadRequest        400  the request cannot be read at all
├── BadParameters     400  names each bad parameter and what is accepted
├── UnknownMarket     404  with near names
├── NotFound          404
├── Conflict          409  the present state does not allow it
├── CannotWrite       422  the format cannot hold these numbers
└── Busy              503  as many long answers are being sent as may be at once
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from django.core.exceptions import SuspiciousOperation


class Problem(Exception):
    """The API cannot answer: a sentence, and complaints by field."""

    status: ClassVar[int]
    kind: ClassVar[str]  # the last part of the problem's type, stable for programs
    retry_after: ClassVar[int | None] = None  # seconds

    def __init__(self, detail: str, errors: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = {field: list(sentences) for field, sentences in (errors or {}).items()}


class BadRequest(Problem):
    """The request cannot be read."""

    status = 400
    kind = "bad-request"


class BadParameters(Problem):
    """At least one parameter is unknown, missing, or has a value that is not accepted."""

    status = 400
    kind = "bad-parameter"

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        sentences = [f"{field}: {sentence}" for field, several in errors.items() for sentence in several]
        super().__init__(" ".join(sentences), errors)


class UnknownMarket(Problem):
    """The provider's list of pairs has no market of this name."""

    status = 404
    kind = "unknown-market"

    def __init__(self, asked: str, near: Iterable[str] = (), *, list_known: bool = True) -> None:
        names = list(near)
        hint = f"Near names: {', '.join(names)}." if names else "GET /api/v1/markets lists those with data."
        if not list_known:
            hint += " The provider's list of pairs has not been read yet; ask again soon."
        sentence = f"There is no market {shown(asked)}. {hint}"
        super().__init__(sentence, {"market": [sentence]})


class NotFound(Problem):
    """There is nothing at this address."""

    status = 404
    kind = "not-found"


class Conflict(Problem):
    """The present state does not allow this."""

    status = 409
    kind = "conflict"


class CannotWrite(Problem):
    """What was asked for cannot be written in that format."""

    status = 422
    kind = "cannot-write"


class Busy(Problem):
    """Ask again in `retry_after` seconds."""

    status = 503
    kind = "busy"
    retry_after = 2


def shown(text: str, limit: int = 60) -> str:
    """Return text quoted and printable, cut after limit characters, so that a message stays one line."""
    return repr(text if len(text) <= limit else text[:limit] + "…")


class UnclearScheme(SuspiciousOperation):
    """A proxy is not set up: an answer could only redirect in circles. The message says what to set."""
