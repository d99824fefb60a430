"""Why a record is refused: a code for those who count and filter, and a detail for people."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class RefusalCode(StrEnum):
    """The kinds of reasons; each is a value of the metric candlekeep_refused_total and of a dead letter's `code`."""

    UNKNOWN_MARKET = "unknown_market"
    AHEAD = "ahead"  # of the provider's clock
    TOO_OLD = "too_old"
    SUBSCRIPTION = "subscription"  # the provider refuses it
    NUMBER = "number"  # not one, or out of range
    CONFLICT = "conflict"  # a trade under an id that is known with other content
    LOST = "lost"  # records that belong to it did not arrive
    ZEROS = "zeros"  # the provider's, where a candle is known
    MISPLACED = "misplaced"  # under another key, or not whole buckets
    UNREADABLE = "unreadable"
    OTHER = "other"  # among others what the broker itself refuses


class Refusal(NamedTuple):
    """Why one record is refused."""

    code: RefusalCode
    detail: str
