"""What REST and streamer share: the clock, the markets, the log, the faults and the counts."""

from __future__ import annotations

import fcntl
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from simulator import clock
from simulator.config import Config
from simulator.faults import Faults
from simulator.market import Market
from simulator.pairs import Pair
from simulator.replay import Recording, Replay
from simulator.sent import SentLog
from simulator.trades import MINUTE_NS, SECOND_NS, Source


class HomeInUse(Exception):
    """Another simulator runs on this home folder."""


class Provider:
    """One provider with its markets, at its own time."""

    def __init__(self, config: Config) -> None:
        """Resume what the home folder keeps; raises HomeInUse, OSError, ValueError (recording or state unreadable)."""
        self.config = config
        config.home.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(config.home)
        state = clock.load(config.home)
        self.clock = clock.resume(state, config.speed)
        self.identity = _generated_identity(config)
        pairs = dict.fromkeys((*config.markets, *config.listed))
        self.sources: dict[Pair, Source] = {pair: Market(pair, config.seed, config.rate) for pair in pairs}
        if config.replay is not None:
            self._replay(config.replay, state)
        clock.save(config.home, state)
        self.started = self.clock.now()
        self.faults = Faults()
        self.calls: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.log = SentLog(config.home)
        self.log.note("started", at=self.started, provider=self.identity, speed=config.speed)

    def now(self) -> int:
        """Tell the simulator's time in nanoseconds."""
        return self.clock.now()

    def source(self, exchange: str, base: str, quote: str) -> Source | None:
        """Find a market; exchanges in any case, symbols in capitals only."""
        return self.sources.get(Pair(exchange.lower(), base, quote))

    def accepts(self, key: str) -> bool:
        """Say whether an API key is good now; without a configured key every one is, and none at all."""
        return self.now() >= self.faults.unauthorized_until and self.config.key in (None, key)

    def close(self) -> None:
        """Let go of log and home folder."""
        self.log.close()
        self._lock.close()

    def _replay(self, path: Path, state: dict[str, Any]) -> None:
        """Put a recording in the place of one market; its shift is kept, so a restart goes on with the same times."""
        recording = Recording(path)
        pair = self.config.replay_market or self.config.markets[0]
        kept = state.get("replay")
        if not isinstance(kept, dict) or kept.get("sha256") != recording.sha256:
            kept = {"sha256": recording.sha256, "shift_minutes": self._first_minute() - recording.first_minute}
            state["replay"] = kept
        self.sources[pair] = Replay(pair, recording, int(kept["shift_minutes"]))
        self.identity = f"simulator/replay/{recording.sha256}"

    def _first_minute(self) -> int:
        """Give the minute in which a new replay begins: a whole one, the lead after now or a little later."""
        lead = 10 * self.config.speed if self.config.replay_lead is None else self.config.replay_lead
        return -(-(self.now() + int(lead * SECOND_NS)) // MINUTE_NS)


def _generated_identity(config: Config) -> str:
    # Another rate makes other candles, so it is another provider to whoever remembers this one.
    return f"simulator/seed={config.seed}" + (f"/rate={config.rate:g}" if config.rate is not None else "")


def _lock(home: Path) -> TextIO:
    """Hold the home folder; the kernel lets go when we die."""
    handle = (home / "lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        handle.close()
        raise HomeInUse(f"{home} is in use by another simulator") from exc
    return handle
