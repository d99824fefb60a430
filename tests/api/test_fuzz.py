"""Schemathesis asks every operation of the OpenAPI document, with what it allows and with what it does not.

In this process and in the test's own database: each answer's writes are taken back. `make fuzz` asks more, at random.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.openapi.checks import RejectedPositiveData

from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from datastore.models import DatastoreRequest, DeadLetter, GapRepair, IdRange, Market, Stream
from ingestion.models import Producer
from streaming.refusals import Refusal, RefusalCode
from tests.support.api.declared import declared, operations
from tests.support.api.rows import BEGAN, MINUTE, SYMBOL, Feed
from tests.support.datastore.records import store
from tests.support.examples import SHARE, rolled_back

AT_RANDOM = "FUZZ_EXAMPLES" in os.environ
# Of each kind, beside the edges of all schemas.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "1" if SHARE > 1 else "2"))
# Why a question may be refused whose every part is as the document says: it cannot say how they go together, nor which
# names are known. Binance's unknown symbols are 400.
TOGETHER = re.compile(
    r"must lie before to|lies in the future|replaces from: give one|is not a cursor that this API gave out"
    r"|Combination of optional parameters invalid|Invalid symbol\. There is no market|No trade of .* has an id"
    r"|from: is missing|is ambiguous"
)


@cache
def schema() -> Any:
    """Return the document as schemathesis reads it, answered by our application."""
    load_all_checks()
    # Words of our own code are good guesses, but which of it is loaded depends on the tests before.
    words = {"constants": {"enabled": AT_RANDOM}}
    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}, "analysis": words})
    made = schemathesis.openapi.from_dict(declared(), config=config)
    made.app = WSGIHandler()
    return made


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Keep the test's transaction over many requests, as Django's own client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def world(market: Market, one_connection: None) -> None:
    """A series, and one row of each kind that is named by an address, under the least id that the document allows."""
    feed = Feed()
    store(feed.opened(), feed.trade(1, "5"), feed.trade(70, "6"), feed.watermark(120))
    IdRange.objects.create(market=market, first=1, last=1, since=BEGAN, until=BEGAN)
    hole = {"start": BEGAN + 3 * MINUTE, "stop": BEGAN + 5 * MINUTE, "reason": "socket lost", "attempts": 2}
    GapRepair.objects.create(pk=0, market=market, resolution=60, next_try=timezone.now(), **hole)
    DatastoreRequest.objects.create(pk=0, name="request-0", market=SYMBOL, timeframe="1m", created_at=timezone.now())
    now = timezone.now()
    Stream.objects.create(pk=0, market=market, timeframe="1m", lease_until=now + 60 * MINUTE, created_at=now)
    store_dead_letters([DeadLetterRecord("tick-data", SYMBOL, Refusal(RefusalCode.UNKNOWN_MARKET, "unknown"), b"{}")])
    DeadLetter.objects.update(id=0)
    Producer.objects.create(name="producer-live-1")


@pytest.mark.parametrize("route", operations(), ids=lambda route: f"{route[1]} {route[0]}")
def test_no_operation_answers_what_it_does_not_declare(world: None, write_key: str, route: tuple[str, str]) -> None:
    path, method = route
    operation = schema()[path][method]
    found: dict[str, str] = {}  # by the kind of failure, the first of it

    @rolled_back
    def ask(case: Any) -> None:
        # Without a Coordinator nothing is waited for. What is not packed can be read by schemathesis.
        headers = {"X-API-Key": write_key, "Accept-Encoding": "identity"}
        case.query = {name: whole(value) for name, value in (case.query or {}).items()}
        answer = case.call(headers=headers)
        assert "Accept-Ranges" not in answer.headers
        try:
            case.validate_response(answer, headers=headers)
        except FailureGroup as failures:
            for failure in failures.exceptions:
                if isinstance(failure, RejectedPositiveData) and TOGETHER.search(reason(answer)):
                    continue
                told = (failure.title, failure.message, case.as_curl_command(), answer.status_code, answer.text[:500])
                found.setdefault(failure.title, "\n".join(map(str, told)))

    for mode in GenerationMode:
        if mode is GenerationMode.NEGATIVE and not takes_anything(route):
            continue
        generation = schema().config.generation_for(operation=operation)
        for case in schema().iter_coverage_cases(operation, generation_modes=[mode], generation_config=generation):
            ask(case)
        every(ask, operation.as_strategy(mode))
    assert not found, "\n\n".join(found.values())


def every(ask: Any, cases: Any) -> None:
    """Ask some generated cases: always the same ones, unless more are asked for."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=not AT_RANDOM,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def one(case: Any) -> None:
        ask(case)

    one()


def takes_anything(route: tuple[str, str]) -> bool:
    operation = operations()[route]
    return bool(operation["parameters"]) or "requestBody" in operation


def whole(value: Any) -> Any:
    """Return a whole number as a query string has it: 46.0 is an integer to JSON alone."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def reason(answer: Any) -> str:
    """Return the sentence of a refusal in whatever shape."""
    body = json.loads(answer.content)
    return str(body.get("detail") or body.get("errmsg") or body.get("msg"))
