"""What is written in one cell of a file: exact numbers that can be stored. Pure."""

from __future__ import annotations

import re
from decimal import Decimal

from datastore.imports.rows import BadLine
from streaming.bounds import MAX_STORED, MIN_STORED

NUMBER = re.compile(r"\d{1,25}(?:\.\d{1,40})?(?:[eE][-+]?\d{1,2})?")
WHOLE = re.compile(r"\d{1,19}")


def whole_of(text: str) -> int:
    """Return an id; raise BadLine."""
    if not WHOLE.fullmatch(text):
        raise BadLine(f"{text!r} is no id")
    return int(text)


def price_of(text: str) -> Decimal:
    """Return a price, which is above 0; raise BadLine."""
    if not (price := size_of(text)):
        raise BadLine("a price is 0")
    return price


def size_of(text: str) -> Decimal:
    """Return an amount or a volume; raise BadLine."""
    number = Decimal(text) if NUMBER.fullmatch(text) else None
    if number is None or not (number == 0 or MIN_STORED < number < MAX_STORED):
        raise BadLine(f"{text!r} is no possible number")
    return number


def without_zeros(number: Decimal) -> str:
    """Return a number in the one spelling of its value: without an exponent and needless zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def contradict(first: Decimal, high: Decimal, low: Decimal, close: Decimal) -> bool:
    """Return whether these cannot be the prices of one candle."""
    return not (low <= first <= high and low <= close <= high)
