"""Every claim that answers made, judged by the truth and by what the platform could know of it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from simulator.trades import SECOND_NS, Trade
from tests.support.chaos.truth import Claim, Truth, claims_of


class Losses:
    """Trades that no socket was sent although it was open, and since when their numbers have shown it.

    Nothing betrays such a loss before the market's next number, while the frames of other markets prove that time has
    passed. A candle without the trade may be claimed until then; with the next number the claim has to go back.
    """

    def __init__(self, log: Iterable[dict[str, Any]]) -> None:
        """Read the simulator's log (sent.jsonl)."""
        self._lost: dict[tuple[str, str], int] = {}  # (market, id of the trade) -> its place in the log
        self._sent: defaultdict[str, list[tuple[int, int, float]]] = defaultdict(list)  # place, number, when
        for place, line in enumerate(log):
            if line["event"] == "lost":
                self._lost |= {(line["market"], name): place for name in line["ids"]}
            elif line["event"] == "trade" and line["ccseq"] is not None:
                self._sent[line["market"]].append((place, line["ccseq"], line["at"] / SECOND_NS))

    def shown_at(self, market: str, trade: Trade) -> float | None:
        """Return when a socket was sent this trade or a later number, in seconds; infinity: never; None: not lost.

        None also where trades have no numbers: a loss of theirs is never shown, so nothing excuses it.
        """
        lost = self._lost.get((market, trade.id))
        number = trade.ccseq
        if lost is None or number is None:
            return None
        later = (at for place, sent, at in self._sent[market] if place > lost and sent >= number)
        return min(later, default=math.inf)

    def explain(self, claim: Claim, watermark: float, truth: Truth) -> bool:
        """Return whether a false claim lacks lost trades only, none of which was shown by this watermark (seconds).

        The watermark stays behind the newest stamp on the socket, whose frames are ordered: an answer whose watermark
        has reached the frame that shows a loss knows of it, however busy the machine is.
        """
        if claim.state == "provider":
            return False
        found = [(self.shown_at(claim.market, trade), trade.id) for trade in truth.trades(*claim[:3])]
        unknown = [(shown, name) for shown, name in found if shown is not None and shown > watermark]
        # What was shown later than the watermark may be stored already, the first of them first.
        return any(
            truth.agrees(claim, frozenset(name for shown, name in unknown if shown >= first))
            for first in {shown for shown, _ in unknown}
        )


@dataclass
class Made:
    """When a claim was made first, and the greatest watermark of an answer that made it; in seconds."""

    first: float
    watermark: float


@dataclass
class Claims:
    """What answers claimed, each claim once."""

    made: dict[Claim, Made] = field(default_factory=dict)

    def note(self, market: str, timeframe: str, body: dict[str, Any], at: float) -> None:
        """Take what an answer of GET candles claims; at: when it came, in seconds."""
        watermark = (body["watermark"] or 0) / 1000
        for claim in claims_of(market, timeframe, body):
            known = self.made.setdefault(claim, Made(at, watermark))
            known.watermark = max(known.watermark, watermark)

    def false(self, truth: Truth, losses: Losses | None = None) -> list[str]:
        """Return every claim that the truth denies, but for those that lack what could not be known to be lost."""
        return [
            f"at {made.first:.1f}, with a watermark of up to {made.watermark:.1f}: {why}"
            for claim, made in self.made.items()
            if (why := truth.denies(claim)) and not (losses and losses.explain(claim, made.watermark, truth))
        ]
