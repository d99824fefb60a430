"""How often things happen per second, from two readings of the counters that all processes share."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from time import monotonic

from config.monitoring.cached_answer import CachedAnswer
from config.monitoring.metrics import counters
from metering import table

WINDOW_S = 10.0  # over which a rate is usually taken
TICK, CANDLE, DYNAMIC = "tick-data", "candle-data", "dynamic"
MARKET_WINDOW_S = 60.0  # over which a market's trades are looked at
STORED = f"{table.PREFIX}trades_stored_total"


def totals() -> Mapping[str, float]:
    """Return what was counted so far, by the names that this module gives it. Raises OSError, ValueError."""
    found: defaultdict[str, float] = defaultdict(float)
    for family in counters():
        for sample in family.samples:
            if name := _name(sample.name, sample.labels):
                found[name] += sample.value
    return found


def _name(sample: str, labels: Mapping[str, str]) -> str | None:
    """Return the name of what a sample counts, None for one that nobody here asks for."""
    if sample in _PLAIN:
        return _PLAIN[sample]
    if sample == f"{table.PREFIX}batch_records_sum":
        return f"records {labels['topic']}"
    if sample == f"{table.PREFIX}answers_total":
        return f"answers {labels['source']}"
    if sample == f"{table.PREFIX}http_request_seconds_count" and labels["route"].startswith("/api/"):
        return "requests"
    return None


_PLAIN = {
    f"{table.PREFIX}{sample}": name
    for sample, name in {
        "trades_received_total": "trades received",
        "trades_stored_total": "trades stored",
        "provider_calls_total": "calls",
        "batch_records_count": "batches",
        "sse_events_total": "events",
    }.items()
}


class RateMeter:
    """Keeps the readings of the last seconds. One that was not asked for longer begins again."""

    def __init__(
        self,
        read: Callable[[], Mapping[str, float]],
        clock: Callable[[], float] = monotonic,
        window: float = WINDOW_S,
    ) -> None:
        """Take rates over so many seconds."""
        self._read = read
        self._clock, self._window = clock, window
        self._readings: deque[tuple[float, Mapping[str, float]]] = deque()

    def per_second(self) -> dict[str, float]:
        """Return how often each counted thing happens; empty until there are two readings. Raises what read() does."""
        now, found = self._clock(), self._read()
        kept = self._readings
        if kept and any(found.get(name, 0) < value for name, value in kept[-1][1].items()):
            kept.clear()  # the counters began again
        kept.append((now, found))
        while len(kept) > 2 and kept[1][0] <= now - self._window:
            kept.popleft()
        since, before = kept[0]
        if now - since > 3 * self._window:  # nobody looked in between
            while len(kept) > 1:
                kept.popleft()
            return {}
        if since == now:
            return {}
        return {name: (value - before.get(name, 0)) / (now - since) for name, value in found.items()}


def storing_totals() -> Mapping[str, float]:
    """Return by market how many trades were stored and how long these waited for it. Raises OSError, ValueError."""
    words = {STORED: "stored", f"{table.PREFIX}trade_storing_seconds_total": "waited"}
    return {
        f"{words[sample.name]} {sample.labels['market']}": sample.value
        for family in counters()
        for sample in family.samples
        if sample.name in words
    }


_rates = CachedAnswer(RateMeter(totals).per_second)
_storing = CachedAnswer(RateMeter(storing_totals, window=MARKET_WINDOW_S).per_second, times=3)


def rates() -> dict[str, float]:
    """Return how often each counted thing happens per second, read once a second. Raises OSError, ValueError."""
    return _rates.get()


def storing_ms(symbol: str) -> float | None:
    """Return how long after their receipt a market's trades of the last minute were stored, on average, in ms.

    None if there was none, or if nobody has looked before.
    """
    try:
        found = _storing.get()
    except (OSError, ValueError):  # a process writes its counters just now
        return None
    trades = found.get(f"stored {symbol}", 0.0)
    return 1000 * found.get(f"waited {symbol}", 0.0) / trades if trades else None
