"""A recorded market: the trades of a CSV file, shifted by whole minutes, with each number as in the file."""

from __future__ import annotations

import csv
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from simulator.numbering import ListedNumbering, Numbering
from simulator.numerals import places_of, scaled
from simulator.pairs import Pair
from simulator.trades import MAX_DISCOVERY_DELAY_NS, MINUTE_NS, SECOND_NS, Bar, Trade, aggregate_starts, join, roll_up

COLUMNS = ("time_ns", "trade_id", "price", "amount", "side")
FIRST_CCSEQ = 1_000_001
NUMBER_PATTERN = re.compile(r"(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
Row = dict[str, str]


class Recording:
    """A file of trades, read once; times as in the file, in nanoseconds."""

    def __init__(self, path: Path) -> None:
        """Read the file (columns time_ns,trade_id,price,amount,side); raise ValueError or OSError."""
        content = path.read_bytes()
        self.sha256 = sha256(content).hexdigest()
        reader = csv.DictReader(content.decode().splitlines())
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path} does not begin with the columns {','.join(COLUMNS)}")
        self.rows = sorted((_checked(path, reader.line_num, row) for row in reader), key=_exchange_order)
        if not self.rows:
            raise ValueError(f"{path} holds no trades")
        self.price_places = max(places_of(row["price"]) for row in self.rows)
        self.amount_places = max(places_of(row["amount"]) for row in self.rows)

    @property
    def first_minute(self) -> int:
        """Return the minute of the first trade, as in the file."""
        return int(self.rows[0]["time_ns"]) // MINUTE_NS


def _checked(path: Path, line: int, row: Row) -> Row:
    """Return the row; raise ValueError if JSON cannot hold its numbers as they are (NaN, leading dot, plus sign)."""
    numbers = (row["price"], row["amount"])
    whole = (row["time_ns"], row["trade_id"])
    if all(NUMBER_PATTERN.fullmatch(text or "") for text in numbers) and all(
        (text or "").isdecimal() for text in whole
    ):
        return row
    raise ValueError(f"{path}, line {line}: not a trade")


def _exchange_order(row: Row) -> tuple[int, int]:
    # Platforms store microseconds: a tie there must be a tie here, ordered by the exchange's ids.
    return int(row["time_ns"]) // 1000, int(row["trade_id"])


class Replay:
    """A recording as a market's trades: none before its first minute, none after its end."""

    def __init__(self, pair: Pair, recording: Recording, shift: int) -> None:
        """Shift the recording by `shift` minutes."""
        self.pair = pair
        self.price_places, self.amount_places = recording.price_places, recording.amount_places
        rows, shift_ns = recording.rows, shift * MINUTE_NS
        found = sorted((int(row["time_ns"]) + shift_ns + _delay(row), place) for place, row in enumerate(rows))
        numbers = {place: FIRST_CCSEQ + number for number, (_, place) in enumerate(found)}
        trades = [self._trade(row, shift_ns, numbers[place]) for place, row in enumerate(rows)]
        self._found = [trades[place] for _, place in found]
        self._arrivals = [arrival for arrival, _ in found]
        self._minutes: dict[int, list[Trade]] = defaultdict(list)
        for trade in trades:
            self._minutes[trade.ts // MINUTE_NS].append(trade)
        self._bars = {minute: roll_up(inside) for minute, inside in self._minutes.items()}
        self._traded = sorted(self._minutes)
        self._starts = {
            minute: aggregate_starts([(trade.ts, trade.sell, trade.price) for trade in inside])
            for minute, inside in self._minutes.items()
        }
        self._ids = [int(trade.id) for trade in trades]
        self.numbers: Numbering = ListedNumbering((minute, len(self._minutes[minute])) for minute in self._traded)
        self.aggregate_numbers: Numbering = ListedNumbering(
            (minute, len(self._starts[minute])) for minute in self._traded
        )

    def between(self, after: int, until: int) -> list[Trade]:
        """Return the trades discovered in (after, until], in the order of their discovery."""
        return self._found[bisect_right(self._arrivals, after) : bisect_right(self._arrivals, until)]

    def newest(self, count: int, until: int) -> list[Trade]:
        """Return the last `count` trades discovered by `until`, oldest first."""
        end = bisect_right(self._arrivals, until)
        return self._found[max(0, end - count) : end]

    def trades(self, minute: int) -> list[Trade]:
        """Return a minute's trades in the exchange's order."""
        return list(self._minutes.get(minute, []))

    def bar(self, minute: int) -> Bar | None:
        """Return the bar of a whole minute, None without trades."""
        return self._bars.get(minute)

    def hour(self, hour: int) -> Bar | None:
        """Return the bar of a whole hour."""
        return self._span(hour * 60, hour * 60 + 60)

    def day(self, day: int) -> Bar | None:
        """Return the bar of a whole day."""
        return self._span(day * 1440, day * 1440 + 1440)

    def traded_before(self, minute: int) -> int | None:
        """Return the last minute with a trade before this one; None before the market's first."""
        at = bisect_left(self._traded, minute)
        return self._traded[at - 1] if at else None

    def stamps(self, minute: int) -> Sequence[int]:
        """Return the exchange times of a minute's trades, in order, in nanoseconds from its start."""
        return [trade.ts - minute * MINUTE_NS for trade in self._minutes.get(minute, [])]

    def starts(self, minute: int) -> Sequence[int]:
        """Return the places in a minute at which an aggregate begins."""
        return self._starts.get(minute, [])

    def part(self, minute: int, start: int, stop: int) -> list[Trade]:
        """Return a minute's trades at the places [start, stop), in the exchange's order."""
        return self._minutes.get(minute, [])[start:stop]

    def number_of(self, id: int) -> int:
        """Return how many trades have a lower id."""
        return bisect_left(self._ids, id)

    def id_at(self, number: int) -> int:
        """Return the id of the trade of this number, which must exist."""
        return self._ids[number]

    def cut_quote_volume(self, minute: int, places: int) -> int:
        """Return the sum of price times amount of a minute's trades, each cut to so many places."""
        unit, scale = 10 ** max(0, self._places - places), 10 ** max(0, places - self._places)
        return sum(trade.price * trade.amount // unit * scale for trade in self._minutes.get(minute, []))

    @property
    def ids_rise(self) -> bool:
        """Return whether each trade has a greater id than the one before it."""
        return all(before < after for before, after in pairwise(self._ids))

    @property
    def _places(self) -> int:
        return self.price_places + self.amount_places

    def _span(self, start: int, stop: int) -> Bar | None:
        inside = self._traded[bisect_left(self._traded, start) : bisect_left(self._traded, stop)]
        return join(self._bars[minute] for minute in inside)

    def _trade(self, row: Row, shift: int, number: int) -> Trade:
        ts = int(row["time_ns"]) + shift
        return Trade(
            ts=ts,
            rts=ts + _delay(row),
            id=row["trade_id"],
            ccseq=number if self.pair.venue.has_ccseq else None,
            sell=row["side"] == "sell",
            price=scaled(row["price"], self.price_places),
            amount=scaled(row["amount"], self.amount_places),
            price_text=row["price"],
            amount_text=row["amount"],
        )


def _delay(row: Row) -> int:
    """Return how many ns after its exchange time a trade is discovered; the same for trades of one microsecond."""
    spread = (int(row["time_ns"]) // 1000 * 2654435761 >> 16) % 100_000
    late = MAX_DISCOVERY_DELAY_NS * 3 // 4 if spread < 1000 else 0
    return (20 + spread % 200) * SECOND_NS // 1000 + late
