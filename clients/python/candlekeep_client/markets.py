"""Markets, and how much of a range is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from candlekeep_client.certificate import Certificate, Segment, certificate_of
from candlekeep_client.times import MILLISECOND, from_ms


@dataclass(frozen=True, slots=True)
class Market:
    """A market; feed: live, stale, or none if nothing was ever proven; freshness: how old its newest proven time is.

    first and newest: its oldest and newest bucket; refusal: why the provider refuses its feed, and since when.
    """

    market: str
    exchange: str
    base: str
    quote: str
    followed: bool
    first: datetime | None
    newest: datetime | None
    last_price: Decimal | None
    feed: Literal["live", "stale", "none"]
    live_until: datetime | None
    freshness: timedelta | None
    proof: str | None
    refusal: str | None
    refused_since: datetime | None
    watermark: datetime | None
    version: int

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Market:
        """Return the market in an answer."""
        plain = ("market", "exchange", "base", "quote", "followed", "feed", "proof", "refusal", "version")
        times = ("first", "newest", "live_until", "refused_since", "watermark")
        price, freshness = told["last_price"], told["freshness"]
        return cls(
            **{name: told[name] for name in plain},
            **{name: from_ms(told[name]) for name in times},
            last_price=None if price is None else Decimal(price),
            freshness=None if freshness is None else freshness * MILLISECOND,
        )


@dataclass(frozen=True, slots=True)
class Missing:
    """Buckets that are missing for one reason; final: the provider said that it will never have them."""

    start: datetime
    end: datetime
    buckets: int
    final: bool
    reason: str
    code: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a range is there, in buckets that have begun: proven, pending (not known finally yet) and missing.

    states and proofs: how much time each takes.
    """

    certificate: Certificate
    asked: int
    proven: int
    pending: int
    missing: tuple[Missing, ...]
    states: Mapping[str, timedelta]
    proofs: Mapping[str, timedelta]
    quiet: int

    @property
    def gaps(self) -> tuple[Segment, ...]:
        """Return the segments of which something is missing."""
        return self.certificate.gaps

    @classmethod
    def of(cls, answers: Sequence[Mapping[str, Any]]) -> Coverage:
        """Return what an answer's pages say together."""

        def buckets(name: str) -> int:
            return sum(answer["completeness"][name]["buckets"] for answer in answers)

        def times(name: str) -> dict[str, timedelta]:
            found: dict[str, timedelta] = {}
            for answer in answers:
                for key, ms in answer["totals"][name].items():
                    found[key] = found.get(key, timedelta()) + ms * MILLISECOND
            return found

        missing = [part for answer in answers for part in answer["completeness"]["missing"]]
        return cls(
            certificate=certificate_of(answers),
            asked=buckets("asked"),
            proven=buckets("proven"),
            pending=buckets("pending"),
            missing=tuple(_missing(part) for part in missing),
            states=times("milliseconds"),
            proofs=times("proven"),
            quiet=sum(answer["totals"]["quiet"] for answer in answers),
        )


def _missing(part: Mapping[str, Any]) -> Missing:
    named = {name: part[name] for name in ("buckets", "final", "reason", "code")}
    return Missing(from_ms(part["from"]), from_ms(part["to"]), **named)
