"""The whole platform as text, on one screen of a terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db.models import DurationField, ExpressionWrapper, F, QuerySet

from actor_runtime.admin import error_story, span
from actor_runtime.charts import label
from actor_runtime.models import Actor, actor_models, with_silence
from actor_runtime.steady_time import SteadyNow
from config.monitoring.growth import forecast, free_for_database, growth_text
from config.monitoring.health import disk_refusal
from datastore.blockers import Blockers, with_lease
from datastore.engines.edition import timescale_edition
from datastore.models import DeadLetter, FetchRequest, Market, Stream
from datastore.quality.freshness import proven_markets
from datastore.reference.provider import current_provider
from datastore.reference.provider_registry import traits_of
from datastore.streams import lifecycle
from datastore.wording import counted
from ingestion.history.rest_calls import describe_calls_left

ACTOR_COLUMNS = ("ACTOR", "NAME", "STATE", "BEAT", "OWNER", "WAITING FOR, LAST ERROR")
STREAM_COLUMNS = ("STREAM", "STATE", "TOPIC", "LEASE", "LAST ERROR")
MARKET_COLUMNS = ("MARKET", "FEED", "PROVEN UNTIL", "BEHIND", "VERSION", "REFUSED")
MarketRow = tuple[str, str, str, str, str, str]  # MARKET_COLUMNS
MIN_WIDTH = 100  # characters
MAX_COLUMN = 34  # characters of any column but the last
MAX_STREAMS_SHOWN = 20


def overview(width: int | None = None) -> str:
    """Return provider, actors, markets and streams, each line at most `width` characters (default: the terminal's)."""
    width = max(width or shutil.get_terminal_size((140, 40)).columns, MIN_WIDTH)
    name, simulated = current_provider()
    lines = [
        f"Provider: {name or 'not seen yet'}{'   SIMULATED DATA' if simulated else ''}",
        f"Database: {timescale_edition().sentence}",
        *(_cut(f"Disk: {refusal}", width) for refusal in filter(None, [disk_refusal()])),
        _cut(f"Growth: {growth_line()}", width),
        *(_cut(line, width) for line in describe_calls_left()),
        *([] if simulated else (_cut(f"Terms: {traits_of(one).terms}", width) for one in settings.PROVIDERS)),
        *(_cut(line, width) for line in history_lines()),
        "",
        *table(ACTOR_COLUMNS, [row for model in actor_models() for row in actor_rows(model)], width),
        "",
        *table(MARKET_COLUMNS, market_rows(), width),
    ]
    if streams := stream_rows():
        lines += ["", *table(STREAM_COLUMNS, streams, width)]
    if dead_letters := DeadLetter.objects.count():
        lines += [f"\n{dead_letters} dead letters: records that could not be stored."]
    return "\n".join(lines)


def growth_line() -> str:
    """Return how fast the database grows, and until when."""
    free = free_for_database()
    return growth_text(forecast(free), free)


def actor_rows(model: type[Actor]) -> list[tuple[str, ...]]:
    """Return a row for each actor of this kind that is not retired, or one that says that there is none."""
    kind = str(model._meta.verbose_name)
    actors: QuerySet[Any] = with_silence(model._default_manager.filter(retired_at=None)).order_by("name")
    rows: list[tuple[str, ...]] = []
    for actor in actors:
        beat = span(actor.silence.total_seconds()) if actor.silence is not None else "never"
        notes = ["waits for " + actor.waiting_for if actor.waiting_for else "", error_story(actor)]
        state = label(model, str(actor.state))
        rows.append((kind, actor.name, state, beat, actor.owner or "free", "; ".join(filter(None, notes))))
    return rows or [(kind, "none yet", "", "", "", "")]


def history_lines() -> list[str]:
    """Return how many requests for history are under way, and what the most urgent one waits for; [] without any."""
    active = with_lease(FetchRequest.objects.filter(state__in=FetchRequest.ACTIVE)).order_by("purpose", "id")
    first = active.first()
    if first is None:
        return []
    return [f"History: {counted(active.count(), 'request')} under way; the most urgent: {Blockers().of_request(first)}"]


def market_rows() -> list[MarketRow]:
    """Return a row for each followed market: its feed, up to when it is proven, how long ago that was, a refusal."""
    versions = dict(Market.objects.filter(followed=True).values_list("pk", "version"))
    rows: list[MarketRow] = []
    for market in proven_markets():
        until = f"{market.live_stop:%Y-%m-%d %H:%M:%S}" if market.live_stop else "nothing yet"
        behind = "" if market.age is None else span(market.age)
        refusal = f"since {market.refused_since:%Y-%m-%d %H:%M:%S}: {market.refusal}" if market.refusal else ""
        version = str(versions.get(market.market_id, ""))
        rows.append((market.symbol, market.state, until, behind, version, refusal))
    if others := Market.objects.filter(followed=False).count():
        rows.append((f"{others} more, not followed", "", "", "", "", ""))
    return rows


def stream_rows() -> list[tuple[str, ...]]:
    """Return a row for each alive stream, those that are not live first, and rows that count the others."""
    left = ExpressionWrapper(F("lease_until") - SteadyNow(), output_field=DurationField())
    alive: QuerySet[Any] = (
        lifecycle.alive().annotate(left=left).select_related("market", "topic").order_by("-state", "id")
    )
    rows: list[tuple[str, ...]] = []
    for stream in alive[:MAX_STREAMS_SHOWN]:
        name, topic = f"{stream.pk}: {stream.market.symbol} {stream.timeframe}", stream.topic
        state = stream.state if topic is None or topic.state == stream.state else f"{stream.state}, {topic.state}"
        lease = span(stream.left.total_seconds())
        rows.append((name, state, topic.name if topic else "none", lease, stream.error or ""))
    if more := alive.count() - len(rows):
        rows.append((f"{more} more", "", "", "", ""))
    if failed := Stream.objects.filter(state=Stream.State.FAILED).count():
        rows.append((f"{failed} failed within 30 days", "", "", "", ""))
    return rows


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> list[str]:
    """Return aligned lines; a line that is too long is cut at its end."""
    cells = [[" ".join(cell.split()) for cell in row] for row in (heads, *rows)]
    sizes = [min(max(map(len, column)), MAX_COLUMN) for column in zip(*cells, strict=True)]
    lines = []
    for *first, last in cells:
        padded = "  ".join(cell[:size].ljust(size) for cell, size in zip(first, sizes, strict=False))
        lines.append(_cut(f"{padded}  {last}".rstrip(), width))
    return lines


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"
