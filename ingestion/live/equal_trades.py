"""Equal trades of one market on one connection, kept apart although neither their content nor their id does it.

Where a venue gives no ids and the provider no numbers, a trade is named by its content: the ids that the provider makes
up differ from connection to connection. Within one connection they do tell equal trades apart, as does their order, so
the second of two equal trades is named as the second. A replay is counted from its own beginning: its names are right
if it holds all trades that are equal, which is certain only of those that were discovered after its first.

A venue's own id is trusted while its content agrees. Two trades of one connection with the same id, time and content
but two of the provider's numbers are two trades: the second is named by its number. Where the content differs, the
write decides (datastore/ingest/trade_conflicts.py), for it knows the trades of other connections too.
"""

from __future__ import annotations

from decimal import Decimal

from ingestion.providers.events import TradeSeen
from streaming.records import numbered_id

MAX_REMEMBERED_CONTENTS = 20_000  # equal trades share their time, so they come close together
MAX_REMEMBERED_IDS = 1_000  # for the same reason; every market has them, so they are fewer

_Content = tuple[Decimal, Decimal, int]


class EqualTrades:
    """Name the trades of one market on one connection."""

    def __init__(self) -> None:
        self._seen: dict[str, list[str | None]] = {}  # by content: the made-up id of each equal trade, in order
        self._numbered: dict[tuple[int, str], tuple[int, _Content]] = {}  # by time and id: the first trade

    def name_of(self, trade: TradeSeen) -> str:
        """Return the id under which a trade is stored; the same made-up id with the same content is a repeat."""
        if not trade.named_by_content:
            if trade.number is None:
                return trade.id
            content = (trade.price, trade.amount, trade.side)
            first, known = self._numbered.setdefault((trade.ts, trade.id), (trade.number, content))
            if len(self._numbered) > MAX_REMEMBERED_IDS:
                del self._numbered[next(iter(self._numbered))]
            return trade.id if first == trade.number or known != content else numbered_id(trade.id, trade.number)

        equal = self._seen.setdefault(trade.id, [])
        if trade.made_up_id is None or trade.made_up_id not in equal:
            equal.append(trade.made_up_id)
            place = len(equal)
        else:
            place = equal.index(trade.made_up_id) + 1
        if len(self._seen) > MAX_REMEMBERED_CONTENTS:
            del self._seen[next(iter(self._seen))]
        return trade.id if place == 1 else f"{trade.id}#{place}"
