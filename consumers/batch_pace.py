"""How large the next batch may be, by what the last one was.

A market costs a batch more than a trade does. So a batch of many markets is left to grow, and a backlog of many in ever
larger ones: what a trade costs then hardly depends on how many markets there are.
"""

from __future__ import annotations

MIN_LINGER_S, MAX_LINGER_S = 0.005, 0.25  # how long a small batch may grow, beside what comes while one is stored
FULL_LINGER_S = 0.02  # between, as long as the last one took: at most half of the time goes into small ones
LINGER_PER_MARKET_S = 0.0003  # about three times what a market costs a batch beside its trades
MAX_BATCH_RECORDS, MAX_BACKLOG_RECORDS = 5_000, 20_000  # more than the first are read while there is a backlog only
BACKLOG_RECORDS_PER_MARKET = 20  # for few markets larger batches save nothing, and less is decoded beside their write
LONG_BATCH_S = 1.0  # no larger ones after such a batch: its trades wait for its commit


class BatchPace:
    """How long the next batch may grow (`linger_s`), and how many records it may have (`most`)."""

    def __init__(self) -> None:
        self.linger_s = MIN_LINGER_S
        self.most = MAX_BATCH_RECORDS

    def note(self, records: int, markets: int, seconds: float) -> None:
        """Note what a batch held, and how long it took from its first step to its last."""
        quick = max(MIN_LINGER_S, min(seconds, FULL_LINGER_S))
        self.linger_s = min(max(quick, LINGER_PER_MARKET_S * markets), MAX_LINGER_S)
        if records < MAX_BATCH_RECORDS:
            self.most = MAX_BATCH_RECORDS
        elif seconds < LONG_BATCH_S:
            room = min(BACKLOG_RECORDS_PER_MARKET * markets, MAX_BACKLOG_RECORDS)
            self.most = max(min(2 * self.most, room), MAX_BATCH_RECORDS)
        else:
            self.most = max(self.most // 2, MAX_BATCH_RECORDS)
