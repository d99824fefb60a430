from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.reference.pairs import Listed
from ingestion.providers.answers import CandlePage as Page
from ingestion.providers.answers import RateLimited, Refused, Unauthorized, Unavailable, Warned
from ingestion.providers.cryptocompare.rest import Outcome, candles_path, read_answer

DATE = {"Date": "Mon, 23 Nov 2026 12:00:41 GMT"}
AT = 1_795_435_241_000_000
DAY = 86_400_000_000
OVER = "You are over your rate limit please upgrade your account!"
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
    url = urlsplit(candles_path(Listed("Coinbase", "BTC", "USD"), 3600, 1_795_435_200, 0))
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
        (error("CCCAGG market does not exist for this coin pair (UNKNOWN-USD)", 2), 200, False),
        (error("There is no data for the symbol BTC999 .", 2, ParamWithError="fsym"), 200, False),
        (error("e param is not valid the market does not exist for this coin pair"), 200, False),
        (error("Minute data is only available for the last 7 days."), 200, True),
        (error("Minute data is only available for the last 30 days."), 200, False),  # asked: 10 days ago
        (error("limit is larger than max value."), 200, False),
        ({"Data": {}, "Err": {"type": 1, "message": "no such instrument", "http_status_code": 404}}, 404, False),
    ],
)
def test_a_refusal_is_final_only_for_age(body: dict[str, Any], status: int, expected: bool) -> None:
    refused = answer(body, status)
    assert isinstance(refused, Refused)
    assert refused.is_final(AT - 10 * DAY) is expected
    assert not refused.is_final(AT - DAY)
    assert refused.reason == (body.get("Message") or body["Err"]["message"])


def test_a_refusal_for_age_without_a_time_is_not_final() -> None:
    refused = answer(error("Minute data is only available for the last 7 days."), Date="")
    assert isinstance(refused, Refused)
    assert not refused.is_final(AT - 10 * DAY)


@pytest.mark.parametrize("kind", [100, 101, 99])
def test_data_that_can_be_used_is_used_and_its_warning_is_kept(kind: int) -> None:
    warned = v2(ROW).replace(
        '"Message":"","HasWarning":false,"Type":100', f'"Message":"{OVER}","HasWarning":true,"Type":{kind}'
    )
    page = answer(warned)
    assert isinstance(page, Page)
    assert (len(page.rows), page.warning) == (1, Warned(OVER, 10))


def test_a_warning_slows_calls_for_a_minute_at_most() -> None:
    used_up = json.dumps(limits(day=10_004))
    text = f'"Message":"{OVER}","HasWarning":true,"Type":101,"RateLimit":{used_up}'
    page = answer(v2(ROW).replace('"Message":"","HasWarning":false,"Type":100,"RateLimit":{}', text))
    assert isinstance(page, Page)
    assert page.warning == Warned(OVER, 60)


@pytest.mark.parametrize("data", [[], {}, {"Aggregated": False, "Data": []}])
def test_a_warning_without_data_is_the_limit_that_it_speaks_of(data: Any) -> None:
    body = {"Response": "Success", "Message": OVER, "HasWarning": True, "Type": 101, "Data": data}
    assert answer(body) == RateLimited(10, OVER)


@pytest.mark.parametrize(
    "words", ["api key", "auth key", "market does not exist", "only available for the last 7 days"]
)
def test_a_rate_limit_is_known_by_its_type_whatever_its_words(words: str) -> None:
    reason = f"You are over the limit of your {words}"
    assert answer(error(reason, 99)) == RateLimited(10, reason)


def test_words_do_not_decide_where_the_envelope_names_the_cause() -> None:
    assert isinstance(answer(error("no data for the symbol API KEY", 2, ParamWithError="fsym")), Refused)
    assert isinstance(answer(error("toTs: see the rate limit of your api key", 1, ParamWithError="toTs")), Refused)
    assert isinstance(answer(v2(ROW).replace('"Message":""', '"Message":"New: an api key is free."')), Page)


@pytest.mark.parametrize("time", ['"1795435200"', "1795435200.0", '"1795435200.0"', "1.7954352e9"])
def test_a_time_is_read_however_the_whole_number_is_written(time: str) -> None:
    page = answer(v2(ROW.replace("1795435200", time)))
    assert isinstance(page, Page)
    assert [row.time for row in page.rows] == [1_795_435_200]


@pytest.mark.parametrize("time", ["1795435200.5", "true", "null", '"soon"', "1e400"])
def test_what_is_no_whole_second_is_no_time(time: str) -> None:
    page = answer(v2(ROW, ROW.replace("1795435200", time)))
    assert isinstance(page, Page)
    assert (len(page.rows), page.unreadable) == (1, 1)


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


def limits(**made: Any) -> dict[str, Any]:
    most = {"second": 20, "minute": 300, "hour": 3000, "day": 10_000, "month": 75_000}
    return {"calls_made": made, "max_calls": most}


@pytest.mark.parametrize(
    ("body", "status", "headers", "wait"),
    [
        (error("You are over your rate limit please upgrade your account!", 99), 200, {}, 10),
        (error("over", 99, RateLimit=limits(second=20, minute=21)), 200, {}, 1),
        (error("over", 99, RateLimit=limits(second=20, minute=300)), 200, {}, 19),
        (error("over", 99, RateLimit=limits(second=1, minute=301, hour=3000)), 200, {}, 3559),
        (error("over", 99, RateLimit=limits(day="10004")), 200, {"Date": "Mon, 23 Nov 2026 23:19:00 GMT"}, 2460),
        (error("over", 99, RateLimit=limits(day=9_999, month=75_771)), 200, {}, 8 * 86_400 - 43_241),
        (error("over", 99, RateLimit=limits(month=75_771)), 200, {"Date": "Thu, 31 Dec 2026 23:59:00 GMT"}, 60),
        (error("over", 99, RateLimit={"calls_left": {"minute": 0, "hour": 17}}), 200, {}, 19),
        (error("over", 99, RateLimit=limits(day=10_004)), 200, {"Date": ""}, 60),
        (error("over", 99, RateLimit={"calls_made": "many"}), 200, {}, 10),
        ("slow down", 429, {"Retry-After": "7"}, 7),
        ("slow down", 429, {"Retry-After": "Mon, 23 Nov 2026 12:01:11 GMT"}, 30),
        ("slow down", 429, {"Retry-After": "999999999"}, 86_400),
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
