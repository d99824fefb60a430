"""What the replay of a new subscription proves of the time before it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from datastore.db.queries import fetch_value
from datastore.ingest.feed_sequence import FeedSequence, FeedSpan
from streaming.records import FeedOpened, Micros, numbered_id

BRIDGE = "select bridge_start(%s, instant(%s), instant(%s), %s::jsonb)"


def find_bridges(market_id: int, openings: Sequence[FeedOpened]) -> dict[Micros, Micros | None]:
    """Return, by the start of each opened span, how far back its replay proves the time before it."""
    bridges: dict[Micros, Micros | None] = {}
    for opened in openings:
        if opened.replayed:
            trades = [
                {"ts": trade.ts, "id": trade.id, "seq": trade.seq}
                | ({} if trade.seq is None else {"numbered": numbered_id(trade.id, trade.seq)})
                for trade in opened.replayed
            ]
            bridges[opened.start] = fetch_value(BRIDGE, [market_id, opened.connected, opened.start, json.dumps(trades)])
    return bridges


def with_bridges(
    spans: Sequence[FeedSpan], before: FeedSequence, bridged: dict[Micros, Micros | None]
) -> list[FeedSpan]:
    """Return the spans and the bridge before each that has just become proven.

    Not earlier: the start was set a second ahead, so until the span is proven, a claim up to there was not true yet.
    """
    rows = list(spans)
    for span in spans:
        bridge = bridged.get(span.start)
        if span.start == before.start and before.stop is None:
            bridge = bridge or before.bridge
        if bridge is not None and bridge < span.start:
            rows.append(FeedSpan(bridge, span.start))
    return rows
