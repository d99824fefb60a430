from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.providers.cryptocompare.rest import (
    Outcome,
    Page,
    ProviderNames,
    RateLimited,
    Refused,
    Unauthorized,
    Unavailable,
    candles_path,
    read_answer,
)

DATE = {"Date": "Mon, 23 Nov 2026 12:00:41 GMT"}
AT = 1_795_435_241_000_000
ROW = (
    '{"time":1795435200,"high":2.5,"low":1.1e-2,"open":2,"volumefrom":0.1,"volumeto":0.12345678901234567,"close":1.10,'
    '"conversionType":"direct","conversionSymbol":""}'
)


def answer(body: str | dict[str, Any], status: int = 200, **headers: str) -> Outcome:
    raw = body if isinstance(body, str) else json.dumps(body)
    return read_answer(status, DATE | headers, raw.encode())


def error(message: str, kind: int = 1, **more: Any) -> dict[str, Any]:
    return {"Response": "Error", "Message": message, "HasWarning": False, "Type": kind, "Data": {}, **more}


def v2(*rows: str) -> str:
    data = '{"Aggregated":false,"TimeFrom":1,"TimeTo":2,"Data":[' + ",".join(rows) + "]}"
    return '{"Response":"Success","Message":"","HasWarning":false,"Type":100,"RateLimit":{},"Data":' + data + "}"


def v1(*rows: str) -> str:
    return '{"Response":"Success","Type":100,"ConversionType":"direct","Data":[' + ",".join(rows) + '],"TimeTo":2}'


def test_a_page_is_asked_for_by_the_start_of_its_newest_bucket() -> None:
    url = urlsplit(candles_path(ProviderNames("Coinbase", "BTC", "USD"), 3600, 1_795_435_200, 0))
    asked = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert url.path == "/data/v2/histohour"
    assert asked == {
        "fsym": "BTC", "tsym": "USD", "e": "Coinbase", "toTs": "1795435200", "limit": "1", "extraParams": "candlekeep",
    }  # fmt: skip


@pytest.mark.parametrize("envelope", [v1, v2])
def test_both_envelopes_give_the_rows_to_the_digit(envelope: Any) -> None:
    page = answer(envelope(ROW))
    assert isinstance(page, Page)
    (row,) = page.rows
    assert (row.time, row.low, str(row.close)) == (1_795_435_200, Decimal("0.011"), "1.10")
    assert str(row.quote_volume) == "0.12345678901234567"
    assert page.at == AT


def test_a_torn_row_is_counted_and_the_others_stay() -> None:
    page = answer(v2(ROW, '{"time":1795435260,"close":null}', '"row"'))
    assert isinstance(page, Page)
    assert (len(page.rows), page.unreadable) == (1, 2)


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (error("CCCAGG market does not exist for this coin pair (UNKNOWN-USD)", 2), 200, True),
        (error("There is no data for the symbol BTC999 .", 2, ParamWithError="fsym"), 200, True),
        (error("e param is not valid the market does not exist for this coin pair"), 200, True),
        (error("Minute data is only available for the last 7 days."), 200, True),
        (error("limit is larger than max value."), 200, False),
        ({"Data": {}, "Err": {"type": 1, "message": "no such instrument", "http_status_code": 404}}, 404, False),
    ],
)
def test_a_refusal_says_whether_it_is_final(body: dict[str, Any], status: int, expected: bool) -> None:
    refused = answer(body, status)
    assert isinstance(refused, Refused)
    assert refused.final is expected
    assert refused.reason == (body.get("Message") or body["Err"]["message"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"Data": {}, "Err": {"type": 2, "message": "API key required", "http_status_code": 401}}, 401),
        ({"Data": {}, "Err": {"type": 2, "message": "no", "http_status_code": 401}}, 200),
        (error("You need a valid auth key or api key to access this endpoint"), 200),
        ("<html>who are you</html>", 403),
    ],
)
def test_a_refused_key_is_told_in_either_envelope_or_none(body: Any, status: int) -> None:
    assert isinstance(answer(body, status), Unauthorized)


def limits(**made: int) -> dict[str, Any]:
    return {"calls_made": made, "max_calls": {"second": 20, "minute": 300, "hour": 3000, "day": 10_000}}


@pytest.mark.parametrize(
    ("body", "status", "headers", "wait"),
    [
        (error("You are over your rate limit please upgrade your account!", 99), 200, {}, 10),
        (error("over", 99, RateLimit=limits(second=20, minute=21)), 200, {}, 1),
        (error("over", 99, RateLimit=limits(second=1, minute=301, hour=3000)), 200, {}, 3600),
        (error("over", 99, RateLimit={"calls_made": "many"}), 200, {}, 10),
        ("slow down", 429, {"Retry-After": "7"}, 7),
    ],
)
def test_a_rate_limit_says_how_long_to_wait(body: Any, status: int, headers: dict[str, str], wait: float) -> None:
    limited = answer(body, status, **headers)
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == wait


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("<html>upstream error</html>", 503),
        ("<html>upstream error</html>", 550),
        ("<html>a friendly page</html>", 200),
        ("[]", 200),
        ("{}", 200),
        ('{"Response":"Success","Data":7}', 200),
        ("", 404),
    ],
)
def test_garbage_is_no_answer(body: str, status: int) -> None:
    assert isinstance(answer(body, status), Unavailable)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Nov 2026 12:00:41 GMT"])
def test_an_answer_without_its_time_proves_nothing(date: str) -> None:
    assert isinstance(answer(v2(ROW), Date=date), Unavailable)


def test_a_reason_fits_a_record_whatever_it_holds() -> None:
    refused = answer(error("no \x00such\nmarket " + "x" * 900))
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("no such market xxx")
    assert len(refused.reason) == 200


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_answer_raises(status: int, body: bytes) -> None:
    assert read_answer(status, DATE, body)
