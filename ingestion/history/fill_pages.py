"""The pages of one fill: trades asked for by their ids, and the records that bring them to the live ones' topic."""

from __future__ import annotations

import uuid

from datastore.backfill.trade_fill import FillBounds
from datastore.reference.traits import TradeTraits
from ingestion.providers.port import Answer, History, Request, TradePage, TradesAsked, Trouble
from streaming.records import LastTrade, LiveRecord, Micros, Trade
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
        self._left, self._rows_per_page = bounds.missing, traits.rows_per_page
        self.is_last = False
        self.is_cut_off = False  # the venue no longer has the rest

    @property
    def pages_left(self) -> int:
        """Return about how many pages are still to come."""
        return 0 if self.is_last else max(1, -(-self._left // self._rows_per_page))

    def request(self) -> Request:
        """Return the next call."""
        return self._history.trades_request(self._asked, self._cursor)

    def read(self, answer: Answer) -> TradePage | Trouble:
        """Return what it brought."""
        return self._history.read_trades(self._asked, self._cursor, answer)

    def records_of(self, page: TradePage, now: Micros) -> list[LiveRecord]:
        """Return the records of the page that read() returned, and go on to the next; now: the provider's time."""
        records: list[LiveRecord] = []
        for seen in page.trades:
            self._n += 1
            records.append(
                Trade(
                    market=self._market,
                    feed=self._feed,
                    n=self._n,
                    ts=seen.ts,
                    seq=seen.seq,
                    id=seen.id,
                    price=seen.price,
                    amount=seen.amount,
                    side=seen.side,
                    received_at=max(now, seen.ts),
                    first=seen.first,
                    last=seen.last,
                )
            )
        if page.newest is not None:
            self._n += 1
            records.append(
                LastTrade(market=self._market, feed=self._feed, n=self._n, last_id=page.newest.id, at=page.newest.at)
            )
        self._left = max(0, self._left - len(page.trades))
        self._cursor, self.is_cut_off = page.cursor, page.floor
        self.is_last = page.cursor is None or page.floor
        return records
