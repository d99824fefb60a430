"""What is proven of a range: the certificate that comes with every answer about candles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from candlekeep_client.times import from_ms, to_ms

State = Literal["live", "provider", "merged", "partial", "gap", "pending", "open"]
UNPROVEN = ("gap", "partial")


@dataclass(frozen=True, slots=True)
class Repair:
    """What is done about a gap; final: it is given up, since the provider will never have it."""

    reason: str | None
    code: str | None
    attempts: int
    next_try: datetime | None
    final: bool

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Repair:
        """Return the repair in an answer."""
        return cls(told["reason"], told["code"], told["attempts"], from_ms(told["next_try"]), told["final"])


@dataclass(frozen=True, slots=True)
class Segment:
    """Buckets of one state, [start, end); proof: what they rest on; quiet: how many provably hold no trade."""

    start: datetime
    end: datetime
    state: State
    proof: str | None
    quiet: int
    reason: str | None
    code: str | None
    repair: Repair | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Segment:
        """Return a segment as an answer or an event of a stream has it; an event does not count quiet buckets."""
        return cls(
            start=from_ms(told["from"]),
            end=from_ms(told["to"]),
            state=told["state"],
            proof=told["proof"],
            quiet=told.get("quiet", 0),
            reason=told["reason"],
            code=told["code"],
            repair=Repair.of(told["repair"]) if told["repair"] else None,
        )

    @property
    def is_gap(self) -> bool:
        """Return whether something is missing here: all of it (gap) or some (partial)."""
        return self.state in UNPROVEN

    def __str__(self) -> str:
        why = self.reason or (self.repair.reason if self.repair else None)
        final = ", for good" if self.repair and self.repair.final else ""
        return f"{_minute(self.start)} to {_minute(self.end)} UTC ({self.state}{f': {why}' if why else ''}{final})"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known of a range of one series.

    complete: no bucket is missing. complete_until: where the first bucket begins that is not known for good yet, else
    the end of the range. watermark: up to where the feed is known. Each of `pages` answers is a snapshot of its own:
    version, watermark and cursor are those of the first, so that following from `cursor` brings what changed since.
    """

    market: str
    timeframe: str
    provider: str | None
    simulated: bool
    server_time: datetime
    watermark: datetime | None
    version: int
    cursor: str
    complete: bool
    complete_until: datetime | None
    segments: tuple[Segment, ...]
    pages: int = 1

    @property
    def gaps(self) -> tuple[Segment, ...]:
        """Return the segments of which something is missing."""
        return tuple(segment for segment in self.segments if segment.is_gap)

    def as_json(self) -> dict[str, Any]:
        """Return it as the API writes it, times in milliseconds: what tables carry along."""
        names = ("market", "timeframe", "provider", "simulated", "version", "cursor", "complete", "pages")
        times = ("server_time", "watermark", "complete_until")
        return {
            **{name: getattr(self, name) for name in names},
            **{name: to_ms(getattr(self, name)) for name in times},
            "coverage": [_segment_json(segment) for segment in self.segments],
        }


def certificate_of(answers: Sequence[Mapping[str, Any]]) -> Certificate:
    """Return the certificate of an answer's pages, in order."""
    first, parts = answers[0], [tuple(map(Segment.of, answer["coverage"])) for answer in answers]
    # A page that is not known to its end says where; those behind it begin with what is not known either.
    ends = [(from_ms(answer["complete_until"]), part) for answer, part in zip(answers, parts, strict=True)]
    short = (until for until, part in ends if until is None or not part or until < part[-1].end)
    return Certificate(
        market=first["market"],
        timeframe=first["timeframe"],
        provider=first["provider"],
        simulated=first["simulated"],
        server_time=from_ms(first["server_time"]),
        watermark=from_ms(first["watermark"]),
        version=first["version"],
        cursor=first["cursor"],
        complete=all(answer["complete"] for answer in answers),
        complete_until=next(short, ends[-1][0]),
        segments=tuple(_joined(segment for part in parts for segment in part)),
        pages=len(answers),
    )


def _joined(segments: Iterable[Segment]) -> list[Segment]:
    """Return the segments with those as one that only the edge of a page divides."""
    joined: list[Segment] = []
    for segment in segments:
        if joined and replace(joined[-1], start=segment.start, end=segment.end, quiet=segment.quiet) == segment:
            segment = replace(segment, start=joined[-1].start, quiet=joined[-1].quiet + segment.quiet)
            joined.pop()
        joined.append(segment)
    return joined


def _segment_json(segment: Segment) -> dict[str, Any]:
    repair = segment.repair
    return {
        "from": to_ms(segment.start),
        "to": to_ms(segment.end),
        **{name: getattr(segment, name) for name in ("state", "proof", "quiet", "reason", "code")},
        "repair": repair
        and {
            "reason": repair.reason,
            "code": repair.code,
            "attempts": repair.attempts,
            "next_try": to_ms(repair.next_try),
            "final": repair.final,
        },
    }


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"
