"""One kline stream of one connection: the newest state of each candle, never a queue."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from datastore.access.stream_tickets import Ticket
from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement
from datastore.series.reader import Row
from datastore.sse.binance.events import CLOSED, SOURCE, TradeIds, has_trades, kline_event, message
from datastore.sse.binance.names import StreamName
from datastore.sse.cursor import ReadTime
from datastore.sse.follower import Follower, SeriesFollower
from datastore.sse.messages import Block
from datastore.timeframes.intervals import moment
from datastore.timeframes.timeframe import TIMEFRAMES, Timeframe

LIVE = "live"  # the source of a candle all of whose trades are stored
MAX_WAITING = 64  # candles of one stream; of a reader further behind, the older ones are left out
MAX_UNCLOSED = 1_440  # candles of one stream whose close is still sent: minutes of a day
MAX_CLOSED = 60  # candles of one stream whose corrections are sent
_row = msgspec.json.Decoder(Row)


class KlineFollower(SeriesFollower):
    """Follows one series. Binance's streams know no snapshot: the newest candle is sent first, then what changes.

    A candle that is older than any that was sent and was not sent itself is left out: clients append. Of those that
    were sent as not closed, the newest MAX_UNCLOSED are sent again; of those that were sent as closed, the newest
    MAX_CLOSED if their numbers change.
    """

    def __init__(self, ticket: Ticket, name: StreamName, symbol: str, ready: Callable[[Follower], None]) -> None:
        """Call ready() when there is something to send, and at the end."""
        super().__init__(ticket, None)
        self.name, self.symbol = name, symbol
        self.is_over = False
        self._ready = ready
        self._overwritten = 0
        self._waiting: dict[int, tuple[ReadTime, str]] = {}  # rows by open time in ms
        self._begun = False
        self._newest = -1  # open time of the newest candle that was sent
        self._unclosed: set[int] = set()  # those that were sent as not closed
        self._ended: dict[int, int] = {}  # those that were sent as closed, with the hash of their numbers

    @property
    def frame(self) -> Timeframe:
        """Return the timeframe of the stream."""
        return TIMEFRAMES[self.name.timeframe]

    @property
    def merged(self) -> int:
        """Return how many states of candles were not sent, because newer ones came."""
        return self._overwritten

    def begin(self, block: Block) -> None:
        """Take the newest candle of the first block, and of what came meanwhile only what is newer."""
        self._waiting = {at: kept for at, kept in self._waiting.items() if kept[0] > block.read_at}
        self._begun = True
        self.put(block)

    def forget(self) -> None:
        """Discard what waits: a new first block is on its way."""
        self._waiting, self._begun = {}, False

    def put(self, block: Block) -> bool:
        """Add the rows of a block; True: there is never too much."""
        for at, text in block.candles.items():
            self._overwritten += at in self._waiting
            self._waiting[at] = block.read_at, text
        for at in sorted(self._waiting)[:-MAX_WAITING]:
            del self._waiting[at]
        if self._begun and self._waiting:
            self._ready(self)
        return True

    def beat(self) -> None:
        """Do nothing: the protocol has pings of its own."""

    def close(self) -> None:
        """End the connection."""
        self.is_over = True
        super().close()
        self._ready(self)

    def take(self) -> list[tuple[ReadTime, Row]]:
        """Take out the rows that are to be sent, in their order."""
        waiting, self._waiting = sorted(self._waiting.items()) if self._begun else [], {}
        taken: list[tuple[ReadTime, Row]] = []
        for at, (read_at, text) in waiting:
            row = _row.decode(text)
            numbers = hash(row[1:SOURCE])
            is_correction = self._ended.get(at, numbers) != numbers
            if not has_trades(row) or not (at > self._newest or at in self._unclosed or is_correction):
                continue
            self._newest = max(at, self._newest)
            if row[CLOSED]:
                self._unclosed.discard(at)
                self._ended[at] = numbers
                if len(self._ended) > MAX_CLOSED:
                    del self._ended[min(self._ended)]
            else:
                self._ended.pop(at, None)
                self._unclosed.add(at)
                if len(self._unclosed) > MAX_UNCLOSED:  # those in a gap may never close
                    self._unclosed.remove(min(self._unclosed))
            taken.append((read_at, row))
        return taken

    def ids_reader(self, row: Row) -> Callable[[], TradeIds]:
        """Return what reads the ids of a candle's trades in a thread."""
        return partial(trade_ids, self.ticket.market or 0, self.frame, row[0])

    def text_of(self, row: Row, ids: TradeIds, read_at: ReadTime, combined: bool) -> str:
        """Return a row as a message."""
        event = kline_event(self.symbol, self.frame, row, ids, read_at.now // 1000)
        return message(self.name.text, event, combined)


def has_ids(row: Row) -> bool:
    """Return whether all trades of a candle are stored, so that its first and last are known."""
    return row[SOURCE] == LIVE


def trade_ids(market: int, frame: Timeframe, open_ms: int) -> TradeIds:
    """Return the ids of the first and last stored trade of a candle; -1 if they have none, or some were deleted."""
    start = moment(open_ms * 1000)
    values = {"market": market, "start": start, "stop": frame.after(start)}
    ((first, last),) = fetch_all(statement("binance", "candle_ids"), values)
    return TradeIds() if first is None or last is None else TradeIds(first, last)
