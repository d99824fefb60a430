"""The stored ids of venues that count their trades: what a batch brings of them, in one statement for all its markets.

1. Before the trades are stored: look up which of their ids are held, and leave out what is known already. A trade
   whose ids are held with other content is refused.
2. After: store the ranges of ids, with what the venue said of its newest trade; the same statement derives the spans
   that they prove (sql/functions/stored_ids.sql). Ids that two different trades claim are doubted for good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from datastore.db.queries import execute, fetch_all
from datastore.ingest.feed_sequence import Applied
from datastore.ingest.live_batch import FeedKey, LiveBatch
from datastore.ingest.stored_ids import CountedTrade, SortedIds, runs_of, sort_ids
from datastore.ingest.trade_columns import columns_of
from datastore.reference.staleness import stale_after
from streaming.records import Trade
from streaming.refusals import Refusal, RefusalCode

HELD = "select * from held_ids(%s::int[], %s::bigint[], %s::bigint[])"
UNLIKE = (
    "select place from unlike_stored(%s::int[], %s::int[], %s::bigint[], %s::smallint[], %s::text[], %s::numeric[],"
    " %s::numeric[])"
)
STORE = (
    "select * from store_ids(%s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
    " %s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s)"
)
DOUBT = "select * from doubt_ids(%s, %s, %s, instant(%s), %s)"
# The feed that ended is the best word on why nothing more is known; it goes when the span grows.
NOTE_ENDS = (
    "update coverage c set reason = u.reason, code = u.code"
    " from unnest(%s::int[], %s::text[], %s::text[]) u (m, reason, code) join market k on k.id = u.m"
    " where c.market_id = u.m and c.source = 'live' and c.resolution = 0 and c.proof = 'ids' and c.stop = k.live_stop"
)


class Proven(NamedTuple):
    """What ids did to what is proven of a market."""

    shows: bool  # an answer differs
    lost_s: float  # seconds that are no longer proven


@dataclass(slots=True)
class CountedBatch:
    """The counted trades of a batch, by the id of their market."""

    sorted: dict[int, SortedIds] = field(default_factory=dict)
    said: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)  # id -> when first and last said
    doubted: list[tuple[int, CountedTrade]] = field(default_factory=list)  # market's id, the trade that is refused


def sort_counted(batch: LiveBatch, counting: Mapping[str, int]) -> CountedBatch:
    """Sort the batch's counted trades, and leave those out of its columns that are stored already or refused.

    counting: the ids of the markets whose provider counts trades, by symbol.
    """
    found = CountedBatch(said={counting[symbol]: said for symbol, said in batch.said.items() if symbol in counting})
    counted = {counting[symbol]: trades for symbol, trades in batch.counted.items() if symbol in counting}
    if not counted:
        return found
    held = _held(counted)
    for market_id, trades in counted.items():
        found.sorted[market_id] = sort_ids(trades, held[market_id])
    if all(one.is_all_new for one in found.sorted.values()):
        return found

    for market_id, one in found.sorted.items():
        found.doubted += [(market_id, trade) for trade in one.clashing]
    found.doubted += _unlike([(market_id, trade) for market_id, one in found.sorted.items() for trade in one.held])
    known = {each.at for one in found.sorted.values() for each in (*one.held, *one.again, *one.clashing)}
    batch.leave_out(known)
    batch.refuse({trade.at: Refusal(RefusalCode.CONFLICT, _told(trade)) for _, trade in found.doubted})
    return found


def compare_counted(market_id: int, trades: Sequence[Trade]) -> tuple[int, list[Trade]]:
    """Return how many of a market's counted trades are stored already, and those that contradict it; only reads."""
    counted = [
        CountedTrade(one.first, one.last, at, one)
        for at, one in enumerate(trades)
        if one.first is not None and one.last is not None
    ]
    found = sort_ids(counted, _held({market_id: counted})[market_id])
    unlike = [one for _, one in _unlike([(market_id, one) for one in found.held])]
    return len(found.held), [one.trade for one in (*unlike, *found.clashing)]


def store_counted(found: CountedBatch, refused: Collection[int]) -> dict[int, Proven]:
    """Store the ids of the new trades but the refused ones (by place in the batch); return what changed, by market."""
    if not found.sorted and not found.said:
        return {}
    runs = [
        (market_id, *run)
        for market_id, one in found.sorted.items()
        for run in runs_of(each for each in one.new if each.at not in refused)
    ]
    said = [(market_id, last_id, *times) for market_id, of in found.said.items() for last_id, times in of.items()]
    rows = fetch_all(STORE, [*_columns(runs, 5), *_columns(said, 4), stale_after()])
    for market_id, trade in found.doubted:
        rows += fetch_all(DOUBT, [market_id, trade.first, trade.last, trade.trade.ts, stale_after()])
    proven: dict[int, Proven] = {}
    for market_id, shows, lost_s in rows:
        before = proven.get(market_id, Proven(False, 0))
        proven[market_id] = Proven(shows or before.shows, lost_s + before.lost_s)
    return proven


def note_ends(steps: Mapping[FeedKey, Applied], counting: Mapping[str, int]) -> None:
    """Note how feeds of counting markets ended, as the reason why the newest span of stored ids does not go on."""
    ends = {
        counting[symbol]: (step.spans[-1].reason, step.spans[-1].code)
        for (symbol, _), step in steps.items()
        if symbol in counting and step.spans and step.spans[-1].reason
    }
    if ends:
        execute(NOTE_ENDS, _columns([(market_id, *why) for market_id, why in ends.items()], 3))


def _held(counted: Mapping[int, Sequence[CountedTrade]]) -> defaultdict[int, list[tuple[int, int]]]:
    """Return the stored ranges that hold any of these trades' ids, by market."""
    runs = [(market_id, *run[:2]) for market_id, trades in counted.items() for run in runs_of(sorted(trades))]
    held: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for market_id, first, last in fetch_all(HELD, _columns(runs, 3)):
        held[market_id].append((first, last))
    return held


def _unlike(held: Sequence[tuple[int, CountedTrade]]) -> list[tuple[int, CountedTrade]]:
    """Return those of the trades whose ids are held that are not stored with this content."""
    if not held:
        return []
    ids = sorted({market_id for market_id, _ in held})
    places = {market_id: str(place) for place, market_id in enumerate(ids, start=1)}
    columns = columns_of([places[market_id] for market_id, _ in held], [one.trade for _, one in held])
    markets, times, _, sides, names, prices, amounts, *_ = columns
    rows = fetch_all(UNLIKE, [ids, markets, times, sides, names, prices, amounts])
    return [held[place - 1] for (place,) in rows]


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _told(one: CountedTrade) -> str:
    ids = str(one.first) if one.first == one.last else f"{one.first} to {one.last}"
    came = f"{one.trade.price:f} x {one.trade.amount:f} at {one.trade.ts}"
    return f"the id {ids} is stored with another trade; came {came}"
