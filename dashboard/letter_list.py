"""Dead letters as the pages show them: counted by reason, their bytes readable, and whether they can be replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from django.db.models import Count, Max, Q
from django.http import QueryDict

from dashboard.paging import Page, chosen, page_of
from datastore.dead_letters import replay_obstacle
from datastore.models import DeadLetter

MAX_EXCERPT_CHARS = 160
MAX_SHOWN_BYTES = 100_000
MAX_REPLAYED = 500  # with one button
HEX_COLUMNS = 16


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A dead letter; obstacle: why it cannot be published again."""

    letter: DeadLetter
    excerpt: str
    obstacle: str | None


@dataclass(frozen=True, slots=True)
class Raw:
    """The bytes of a record as people read them; form: JSON, text or bytes; cut: whether there are more."""

    form: str
    text: str
    size: int
    cut: bool


@dataclass(frozen=True, slots=True)
class Letters:
    """A page of dead letters; replayable: the ids of those of these filters that one button may publish again."""

    found: Page[LetterRow]
    filters: dict[str, str]
    reasons: Sequence[Any]
    topics: list[str]
    replayable: list[int]


def letters_asked(query: QueryDict) -> Letters:
    """Return what a question asks for, the newest first, in a fixed number of statements."""
    filters = {name: chosen(query, name) for name in ("topic", "reason", "market")}
    asked = Q()
    if filters["topic"]:
        asked &= Q(topic=filters["topic"])
    if filters["reason"]:
        asked &= Q(code=filters["reason"])
    if filters["market"]:
        asked &= Q(market__icontains=filters["market"])
    letters = DeadLetter.objects.filter(asked)
    page = page_of(letters.order_by("-id"), query)
    may_replay = letters.filter(replayed_at=None, market__isnull=False).exclude(position="").exclude(market="")
    reasons = DeadLetter.objects.order_by().values("code").annotate(number=Count("pk"), newest=Max("created_at"))
    return Letters(
        replace(page, rows=[_row(letter) for letter in page.rows]),
        filters,
        list(reasons.order_by("-number", "code")),
        list(DeadLetter.objects.order_by("topic").values_list("topic", flat=True).distinct()[:200]),
        list(may_replay.order_by("id").values_list("pk", flat=True)[:MAX_REPLAYED]) if filters["reason"] else [],
    )


def one_letter(number: int) -> tuple[LetterRow, Raw] | None:
    """Return a dead letter and its bytes, None if there is none with this id."""
    letter = DeadLetter.objects.filter(pk=number).first()
    return None if letter is None else (_row(letter), readable_bytes(bytes(letter.raw)))


def readable_bytes(raw: bytes) -> Raw:
    """Return bytes as indented JSON, else as text, else in hex with what is text beside it. Pure."""
    shown, cut = raw[:MAX_SHOWN_BYTES], len(raw) > MAX_SHOWN_BYTES
    try:
        text = shown.decode()
    except UnicodeDecodeError:
        return Raw("bytes", _hex(shown), len(raw), cut)
    try:
        # Formatted without being parsed, so numbers keep their digits: a reason may be in the last of them.
        return Raw("JSON", msgspec.json.format(text, indent=2), len(raw), cut)
    except (msgspec.DecodeError, RecursionError):
        form = "text" if all(char.isprintable() or char in "\n\r\t" for char in text) else "bytes"
        return Raw(form, text if form == "text" else _hex(shown), len(raw), cut)


def _hex(raw: bytes) -> str:
    lines = []
    for start in range(0, len(raw), HEX_COLUMNS):
        part = raw[start : start + HEX_COLUMNS]
        beside = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:08x}  {part.hex(' '):<{3 * HEX_COLUMNS}} {beside}")
    return "\n".join(lines)


def _row(letter: DeadLetter) -> LetterRow:
    start = bytes(letter.raw)[: MAX_EXCERPT_CHARS + 1]
    excerpt = start.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    cut = len(excerpt) > MAX_EXCERPT_CHARS
    return LetterRow(letter, excerpt[:MAX_EXCERPT_CHARS] + ("…" if cut else ""), replay_obstacle(letter))
