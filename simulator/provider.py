"""What REST and streamer share: clock, markets, log, faults and counts."""

from __future__ import annotations

import fcntl
from collections import Counter, defaultdict
from pathlib import Path
from typing import TextIO

from simulator import clock
from simulator.config import Config
from simulator.faults import Faults
from simulator.market import Market
from simulator.pairs import Pair
from simulator.replay import Recording, Replay
from simulator.sent import SentLog
from simulator.trades import MINUTE_NS, SECOND_NS, Source


class HomeInUse(Exception):
    """Another simulator is running in this home folder."""


class Provider:
    """One provider with its markets, at its own time."""

    def __init__(self, config: Config) -> None:
        """Resume from the home folder; raise HomeInUse, OSError, or ValueError (recording or state unreadable)."""
        self.config = config
        config.home.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(config.home)
        state = clock.load(config.home)
        self.clock = clock.resume(state, config.speed)
        # Another rate gives other candles, so a client that remembers this provider must see another one.
        rate = f"/rate={config.rate:g}" if config.rate is not None else ""
        self.identity = f"simulator/seed={config.seed}{rate}"
        pairs = dict.fromkeys((*config.markets, *config.listed))
        self.sources: dict[Pair, Source] = {
            pair: Market(pair, config.seed, config.rate, config.since) for pair in pairs
        }
        if config.replay is not None:
            # Replace one market with a recording; its shift is stored, so the times stay the same after a restart.
            recording = Recording(config.replay)
            pair = self.config.replay_market or self.config.markets[0]
            kept = state.get("replay")
            if not isinstance(kept, dict) or kept.get("sha256") != recording.sha256:
                # A new replay starts in the first full minute after the lead.
                lead = 10 * self.config.speed if self.config.replay_lead is None else self.config.replay_lead
                start = -(-(self.now() + int(lead * SECOND_NS)) // MINUTE_NS)
                kept = {"sha256": recording.sha256, "shift_minutes": start - recording.first_minute}
                state["replay"] = kept
            self.sources[pair] = Replay(pair, recording, int(kept["shift_minutes"]))
            self.identity = f"simulator/replay/{recording.sha256}"
        clock.save(config.home, state)
        self.started = self.clock.now()
        self.faults = Faults()
        self.calls: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.sent_minutes: defaultdict[Pair, set[int]] = defaultdict(set)  # of which live trades were sent, in seconds
        self.log = SentLog(config.home)
        self.log.note("started", at=self.started, provider=self.identity, speed=config.speed)

    def now(self) -> int:
        """Return the simulator's time in nanoseconds since 1970."""
        return self.clock.now()

    def source(self, exchange: str, base: str, quote: str) -> Source | None:
        """Return a market, None if there is none; exchanges in any case, symbols only as they are listed."""
        return self.sources.get(Pair(exchange.lower(), base, quote))

    def accepts(self, key: str) -> bool:
        """Return whether an API key is accepted now; without a configured key, any key or none is."""
        return self.now() >= self.faults.unauthorized_until and self.config.key in (None, key)

    def close(self) -> None:
        """Close the log and unlock the home folder."""
        self.log.close()
        self._lock.close()


def _lock(home: Path) -> TextIO:
    """Lock the home folder; the kernel unlocks it when the process dies."""
    handle = (home / "lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        handle.close()
        raise HomeInUse(f"{home} is in use by another simulator") from exc
    return handle
