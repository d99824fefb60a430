"""The whole platform as text, for one screen of a terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import DurationField, ExpressionWrapper, F, QuerySet
from django.db.models.functions import Now

from actor_runtime.admin import span
from actor_runtime.charts import label
from actor_runtime.manual_reset import actor_models
from actor_runtime.models import Actor, with_silence
from datastore.engines.edition import timescale_edition
from datastore.models import DeadLetter, Market, Stream
from datastore.reference.provider import current_provider
from datastore.reference.provider_clock import provider_now
from datastore.streams import lifecycle
from ingestion.history.rest_calls import describe_calls_left

ACTOR_COLUMNS = ("ACTOR", "NAME", "STATE", "BEAT", "OWNER", "WAITING FOR, LAST ERROR")
STREAM_COLUMNS = ("STREAM", "STATE", "TOPIC", "LEASE", "LAST ERROR")
MARKET_COLUMNS = ("MARKET", "WATERMARK", "BEHIND", "VERSION")
MIN_WIDTH = 100
MAX_STREAMS_SHOWN = 20


def overview(width: int | None = None) -> str:
    """Return provider, actors, markets and streams, each line at most `width` characters (default: the terminal's)."""
    width = max(width or shutil.get_terminal_size((140, 40)).columns, MIN_WIDTH)
    letters = DeadLetter.objects.count()
    return "\n".join(
        [
            _provider_line(),
            f"Database: {timescale_edition().sentence}",
            *(_cut(line, width) for line in describe_calls_left()),
            "",
            *table(ACTOR_COLUMNS, [row for model in actor_models() for row in actor_rows(model)], width),
            "",
            *table(MARKET_COLUMNS, market_rows(), width),
            *_streams(width),
            *([f"\n{letters} dead letters: records that could not be stored."] if letters else []),
        ]
    )


def _provider_line() -> str:
    name, simulated = current_provider()
    return f"Provider: {name or 'not seen yet'}{'   SIMULATED DATA' if simulated else ''}"


def actor_rows(model: type[Actor]) -> list[tuple[str, ...]]:
    """Return a line per actor of the kind that is not retired, or one that says that there is none."""
    kind = str(model._meta.verbose_name)
    rows = with_silence(model._default_manager.filter(retired_at=None)).order_by("name")
    return [(kind, *_told(actor)) for actor in rows] or [(kind, "none yet", "", "", "", "")]


def _told(actor: Actor) -> tuple[str, ...]:
    silence = getattr(actor, "silence", None)
    beat = span(silence.total_seconds()) if silence is not None else "never"
    state = label(type(actor), str(actor.state))
    told = ("waits for " + actor.waiting_for if actor.waiting_for else "", actor.last_error or "")
    return actor.name, state, beat, actor.owner or "free", "; ".join(filter(None, told))


def market_rows() -> list[tuple[str, ...]]:
    """Return a line per followed market: up to where it is known, and how far that lies behind the provider's time."""
    now = provider_now()
    rows = [_market_row(market, now) for market in Market.objects.filter(followed=True).order_by("symbol")]
    others = Market.objects.filter(followed=False).count()
    return [*rows, (f"{others} more, not followed", "", "", "")] if others else rows


def _market_row(market: Market, now: datetime) -> tuple[str, ...]:
    if market.watermark is None:
        return market.symbol, "no data yet", "", str(market.version)
    behind = span((now - market.watermark).total_seconds())
    return market.symbol, f"{market.watermark:%Y-%m-%d %H:%M:%S}", behind, str(market.version)


def _streams(width: int) -> list[str]:
    rows = stream_rows()
    return ["", *table(STREAM_COLUMNS, rows, width)] if rows else []


def stream_rows() -> list[tuple[str, ...]]:
    """Return a line per alive stream, those that are not live first, and one that counts the others."""
    left = ExpressionWrapper(F("lease_until") - Now(), output_field=DurationField())
    alive: QuerySet[Any] = (
        lifecycle.alive().annotate(left=left).select_related("market", "topic").order_by("-state", "id")
    )
    rows = [_stream_row(stream) for stream in alive[:MAX_STREAMS_SHOWN]]
    if more := alive.count() - len(rows):
        rows.append((f"{more} more", "", "", "", ""))
    if failed := Stream.objects.filter(state=Stream.State.FAILED).count():
        rows.append((f"{failed} failed within 30 days", "", "", "", ""))
    return rows


def _stream_row(stream: Any) -> tuple[str, ...]:
    name, topic = f"{stream.pk}: {stream.market.symbol} {stream.timeframe}", stream.topic
    state = stream.state if topic is None or topic.state == stream.state else f"{stream.state}, {topic.state}"
    return name, state, topic.name if topic else "none", span(stream.left.total_seconds()), stream.error or ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> list[str]:
    """Return aligned lines; what does not fit is cut at the end of the line."""
    lines = [[" ".join(cell.split()) for cell in row] for row in (heads, *rows)]
    sizes = [min(max(map(len, column)), 34) for column in zip(*lines, strict=True)]
    told = ("  ".join(cell[:size].ljust(size) for cell, size in zip(line[:-1], sizes, strict=False)) for line in lines)
    return [_cut(f"{start}  {line[-1]}".rstrip(), width) for start, line in zip(told, lines, strict=True)]


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"
