"""Equal trades of one market on one connection, kept apart although nothing but their content names them.

Where a venue gives no ids and the provider no numbers, a trade is named by its content: the ids that the provider makes
up differ from connection to connection. Within one connection they do tell equal trades apart, as does their order, so
the second of two equal trades is named as the second. A replay is counted from its own beginning: its names are right
if it holds all trades that are equal, which is certain only of those that were discovered after its first.
"""

from __future__ import annotations

from ingestion.providers.port import TradeSeen

MAX_REMEMBERED_CONTENTS = 20_000  # equal trades share their time, so they come close together


class EqualTrades:
    """Name the trades of one market on one connection."""

    def __init__(self) -> None:
        self._seen: dict[str, list[str | None]] = {}  # by content: the made-up id of each equal trade, in order

    def name_of(self, trade: TradeSeen) -> str:
        """Return the id under which a trade is stored; the same made-up id with the same content is a repeat."""
        if not trade.named_by_content:
            return trade.id
        equal = self._seen.setdefault(trade.id, [])
        if trade.made_up_id is None or trade.made_up_id not in equal:
            equal.append(trade.made_up_id)
            place = len(equal)
        else:
            place = equal.index(trade.made_up_id) + 1
        if len(self._seen) > MAX_REMEMBERED_CONTENTS:
            del self._seen[next(iter(self._seen))]
        return trade.id if place == 1 else f"{trade.id}#{place}"
