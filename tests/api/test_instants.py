from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.api.params.times import EARLIEST, LATEST, parse_instant, to_ms
from datastore.timeframes.intervals import EPOCH, micros_of, moment

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
plausible = st.datetimes(
    EARLIEST.replace(tzinfo=None), (LATEST - timedelta(seconds=1)).replace(tzinfo=None), timezones=st.just(UTC)
)


@pytest.mark.parametrize(
    "text",
    [
        "1795435200",
        "1795435200000",
        "2026-11-23T12:00:00Z",
        "2026-11-23T12:00",
        "2026-11-23 12:00",
        "2026-11-23T13:00:00+01:00",
        "2026-11-23T13:00:00 01:00",  # the plus was not escaped
        "2026-11-23T12:00:00.000000Z",
    ],
)
def test_every_spelling_of_noon_is_noon(text: str) -> None:
    assert parse_instant(text) == NOON


def test_a_date_is_its_midnight_in_utc() -> None:
    assert parse_instant("2026-11-23") == datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-1",
        "1",
        "20261123",  # a date without dashes is a number, and an implausible one
        "1795435200000000",  # microseconds
        "179543520",
        "99999999999999999999",
        "1970-01-01",
        "0001-01-01T00:00+23:59",
        "9999-12-31T23:59-23:59",
        "2026-13-01",
        "2026-11-23T25:00",
        "yesterday",
        "1795435200.5",
        "١٧٩٥٤٣٥٢٠٠",  # digits, but not ASCII ones
        "nan",
        "\x00",
        "9" * 5000,
    ],
)
def test_an_implausible_time_is_refused_not_read_as_1970(text: str) -> None:
    with pytest.raises(ValueError, match="not a time between 2000 and 2100"):
        parse_instant(text)


@given(plausible)
def test_seconds_and_milliseconds_are_told_apart_for_every_plausible_time(instant: datetime) -> None:
    assert parse_instant(str(to_ms(instant) // 1000)) == instant.replace(microsecond=0)
    assert parse_instant(str(to_ms(instant))) == EPOCH + timedelta(milliseconds=to_ms(instant))


@given(plausible, st.integers(-23 * 60, 23 * 60))
def test_iso_text_of_any_offset_is_the_same_point_in_time(instant: datetime, minutes: int) -> None:
    local = instant.astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_instant(local.isoformat()) == instant


@given(plausible)
def test_microseconds_survive_the_way_out_and_back(instant: datetime) -> None:
    assert moment(micros_of(instant)) == instant
    assert to_ms(instant) == micros_of(instant) // 1000


@given(st.text(max_size=40))
def test_any_text_is_a_plausible_time_or_a_value_error(text: str) -> None:
    try:
        instant = parse_instant(text)
    except ValueError:
        return
    assert EARLIEST <= instant < LATEST
    assert instant.tzinfo is UTC
