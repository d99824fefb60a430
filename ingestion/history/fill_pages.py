"""The pages of one fill: trades asked for by their ids, and the records that bring them to the live ones' topic."""

from __future__ import annotations

import uuid

from datastore.backfill.trade_fill import FillBounds
from datastore.reference.traits import PageBy, TradeTraits
from ingestion.providers.answers import Answer, Request, TradePage, TradesAsked, Trouble
from ingestion.providers.events import TradeSeen
from ingestion.providers.port import History
from ingestion.trade_records import last_trade_record, trade_record
from streaming.records import LiveRecord, Micros
from streaming.topics import TICK_DATA


class FillPages:
    """One job's walk through the pages of a fill; its records are a feed of their own, which claims nothing."""

    def __init__(
        self, history: History, traits: TradeTraits, market: str, asked: TradesAsked, bounds: FillBounds
    ) -> None:
        """Begin with the first page."""
        self._history, self._asked, self._market = history, asked, market
        self._feed = f"{TICK_DATA.name}/{uuid.uuid4().hex[:16]}"
        self._cursor: str | None = None
        self._n = 0
        self._bounds, self._left, self._traits = bounds, bounds.missing, traits
        self._lowest: TradeSeen | None = None
        self.is_last = False
        self.is_cut_off = False  # the venue no longer has the rest
        self.begins: int | None = None  # the first id of what was asked for back to a time, once that is known

    @property
    def pages_left(self) -> int:
        """Return about how many pages are still to come."""
        return 0 if self.is_last else max(1, -(-self._left // self._traits.rows_per_page))

    def request(self) -> Request:
        """Return the next call."""
        return self._history.trades_request(self._asked, self._cursor)

    def read(self, answer: Answer) -> TradePage | Trouble:
        """Return what it brought."""
        return self._history.read_trades(self._asked, self._cursor, answer)

    def records_of(self, page: TradePage, now: Micros, kept: Micros) -> list[LiveRecord]:
        """Return the records of the page that read() returned, and go on to the next; now: the provider's time.

        kept: what was traded before would be refused, and is left out.
        """
        records: list[LiveRecord] = []
        trades = [seen for seen in page.trades if seen.ts >= kept]
        for seen in trades:
            self._n += 1
            records.append(trade_record(seen, self._market, self._feed, self._n, max(now, seen.ts)))
        if page.newest is not None:
            self._n += 1
            records.append(last_trade_record(page.newest, self._market, self._feed, self._n))
        self._cursor = page.cursor
        self.is_last = page.cursor is None or page.floor
        self.is_cut_off = page.floor
        if self._asked.reaches_back:
            if len(trades) < len(page.trades) and self._traits.page_by is PageBy.ID:
                self.is_last, self.is_cut_off = True, False  # further down all is too old

            # Note where trades begin that were asked for back to a time: pages by time begin there, those by id end.
            if trades and (self._lowest is None or int(trades[0].id) < int(self._lowest.id)):
                self._lowest = trades[0]
            if not self.is_cut_off and (self.is_last or self._traits.page_by is PageBy.TIME):
                if self._lowest is not None:
                    self.begins = self._lowest.first
                elif self.is_last and self._bounds.before is not None:
                    self.begins = self._bounds.before.first  # nothing lies between
        self._left = self._trades_left(page)
        return records

    def _trades_left(self, page: TradePage) -> int:
        """Return about how many trades are still to come."""
        before, since, lowest = self._asked.before, self._asked.since, self._lowest
        if not self._asked.reaches_back or before is None or since is None or lowest is None:
            return max(0, self._left - len(page.trades))
        if self._traits.page_by is PageBy.TIME:
            return max(0, before.id - 1 - int(page.trades[-1].id)) if page.trades else 0
        # As many in a second as so far.
        return round(self._n * max(0, lowest.ts - since) / max(1, before.ts - lowest.ts))
