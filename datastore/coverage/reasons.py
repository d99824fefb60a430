"""Why buckets are not proven: a code for those who count and filter, and a detail for people. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from streaming.ends import EndCode


class ReasonCode(StrEnum):
    """The kinds of reasons beside EndCode, which says how the feed before a gap ended."""

    # Not proven yet.
    NOT_BEGUN = "not_begun"
    NO_TIME = "no_time"  # no stamp of the provider was seen
    BACKLOG = "backlog"  # acknowledged records wait to be stored
    NOT_FINAL = "not_final"  # the provider may still change its answer
    # Missing.
    NEVER_BEGAN = "never_began"  # before any feed of the market
    STALE = "stale"  # the feed said nothing more
    FETCH = "fetch"  # what keeps it from being fetched
    FINAL = "final"  # the provider will never have it


ANY_CODE = (*(code.value for code in ReasonCode), *(code.value for code in EndCode))


class Reason(NamedTuple):
    """Why buckets are not proven; code: one of ANY_CODE, or an end's of a later version."""

    code: str
    detail: str


NOT_BEGUN = Reason(ReasonCode.NOT_BEGUN, "not begun yet")
NO_TIME = Reason(ReasonCode.NO_TIME, "no provider time yet")
BACKLOG = Reason(ReasonCode.BACKLOG, "backlog")
NOT_FINAL = Reason(ReasonCode.NOT_FINAL, "provider not final")
NEVER_BEGAN = Reason(ReasonCode.NEVER_BEGAN, "before the feed began")
STALE = Reason(ReasonCode.STALE, "feed stale")
