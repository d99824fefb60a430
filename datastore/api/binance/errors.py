"""What is refused, in Binance's shape: `{"code": -1121, "msg": why}`, with its codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from rest_framework import status as http

from datastore.api.errors import BadParameters, UnknownMarket
from datastore.api.responses.problem import exception_handler, other_shape, told_by

UNKNOWN, DISCONNECTED, UNAUTHORIZED, TOO_MANY = -1000, -1001, -1002, -1003
UNSUPPORTED, BAD_KEY = -1020, -2015
ILLEGAL, REPEATED, MISSING, UNREAD = -1100, -1101, -1102, -1104
BAD_INTERVAL, BAD_SYMBOL, BAD_VALUE, BAD_COMBINATION = -1120, -1121, -1130, -1128
CODES = {
    http.HTTP_401_UNAUTHORIZED: BAD_KEY,
    http.HTTP_403_FORBIDDEN: UNAUTHORIZED,
    http.HTTP_404_NOT_FOUND: UNSUPPORTED,
    http.HTTP_405_METHOD_NOT_ALLOWED: UNSUPPORTED,
    http.HTTP_429_TOO_MANY_REQUESTS: TOO_MANY,
    http.HTTP_503_SERVICE_UNAVAILABLE: DISCONNECTED,
}
# What Binance's own sentences begin with, for clients that look at them.
BEGINNINGS = {BAD_KEY: "Invalid API-key, IP, or permissions for action. "}


class Refused(Exception):
    """A request that Binance would refuse, with its code; the sentence may say more than Binance's does."""

    def __init__(self, code: int, sentence: str, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.status, self.headers = code, sentence, status, headers or {}


def invalid_symbol(exc: BadParameters | UnknownMarket) -> Refused:
    """Return the refusal of a symbol that means no market, or several."""
    (sentence,) = exc.errors["market"]
    return Refused(BAD_SYMBOL, f"Invalid symbol. {sentence if isinstance(exc, UnknownMarket) else f'It {sentence}'}")


def refusal(code: int, sentence: str, status: int, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a refusal."""
    return other_shape({"code": code, "msg": sentence}, status, headers)


def binance_exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Turn what a view raised into a refusal."""
    if isinstance(exc, Refused):
        return refusal(exc.code, exc.sentence, exc.status, exc.headers)
    problem = exception_handler(exc, context)
    code = CODES.get(problem.status_code, UNKNOWN)
    sentence, headers = told_by(problem)
    return refusal(code, BEGINNINGS.get(code, "") + sentence, problem.status_code, headers)
