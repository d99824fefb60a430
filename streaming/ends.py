"""Why a feed's span ends: a code for those who count and filter; the text beside it is for people."""

from __future__ import annotations

from enum import StrEnum


class EndCode(StrEnum):
    """The kinds of ends; each is a value of the metric candlekeep_spans_ended_total and of a coverage row's `code`."""

    SOCKET = "socket"  # lost, closed or never subscribed on
    SILENT = "silent"  # no frame for too long
    WRONG_TIME = "wrong_time"  # the provider's stamps contradict each other
    NUMBERS = "numbers"  # the provider's numbering lacks trades
    REFUSED = "refused"  # a trade or frame that may be one was refused
    CONFLICT = "conflict"  # two trades under one id
    SUBSCRIPTION = "subscription"  # the provider refuses it or the key, or ended it
    STREAM = "stream"  # records were lost on the way, or the broker did not take them
    RESUBSCRIBED = "resubscribed"
    LEFT = "left"  # nobody follows it here any more
    STOPPED = "stopped"
    INTERNAL = "internal"
    OTHER = "other"  # also of records from before there were codes
