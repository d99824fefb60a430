"""Exact numbers as text."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from simulator.numerals import as_float, as_sent, places_of, plain, scaled


@given(st.integers(0, 10**30), st.integers(0, 20))
def test_both_spellings_say_exactly_the_number(value: int, places: int) -> None:
    exact = Decimal(f"{value}e-{places}")
    assert Decimal(plain(value, places)) == exact
    assert Decimal(as_sent(value, places)) == exact


def test_small_numbers_are_sent_with_an_exponent_as_the_provider_does() -> None:
    assert as_sent(12, 8) == "1.2e-7"
    assert as_sent(100, 8) == "0.000001"
    assert as_sent(5_000_000, 8) == "0.05"
    assert as_sent(119283_10, 2) == "119283.1"
    assert as_sent(7, 0) == "7"


@given(st.integers(0, 10**25), st.integers(0, 20))
def test_text_is_read_back_to_the_same_units(value: int, places: int) -> None:
    assert scaled(plain(value, places), places) == value
    assert scaled(as_sent(value, places), places) == value


def test_the_finest_digit_counts() -> None:
    assert places_of("0.00027499999999999997") == 20
    assert places_of("98433.70000") == 5
    assert places_of("1e-7") == 7
    assert places_of("12") == 0


def test_volumes_are_the_nearest_floats() -> None:
    assert as_float(34637342, 8) == "0.34637342"
    assert as_float(10**30 + 1, 8) == "1e+22"
