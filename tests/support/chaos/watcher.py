"""A reader that asks every second while a platform is hurt, and keeps what every answer claimed."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.chaos.judge import Claims
from tests.support.chaos.truth import LENGTHS_MS, PROVEN
from tests.support.e2e.platform import Platform

MAX_ERROR_S = 3.0  # of server_time: two requests lie between it and the truth
ASK_EVERY_S = 1.0


@dataclass
class Watcher:
    """Asks for the newest candles of each market and timeframe, and names what cannot be true.

    now: the provider's true time in seconds. max_error_s: how far server_time may be off; None: any.
    away: whether answers may be 503, for what stores them is away on purpose. kept: a file for the answers.
    """

    platform: Platform
    now: Callable[[], float]
    questions: Sequence[tuple[str, str]]
    max_error_s: float | None = MAX_ERROR_S
    may_be_away: bool = False
    kept: Path | None = None
    faults: list[str] = field(default_factory=list)
    answers: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    claims: Claims = field(default_factory=Claims)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Ask in a thread until the block ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._watch, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _watch(self, stop: threading.Event) -> None:
        # A client of its own: another thread uses the platform's.
        with httpx.Client(base_url=f"http://127.0.0.1:{self.platform.port}", timeout=30) as http:
            while not stop.wait(ASK_EVERY_S):
                for market, timeframe in self.questions:
                    self._ask(http, market, timeframe)

    def _ask(self, http: httpx.Client, market: str, timeframe: str) -> None:
        before = self.now()
        try:
            asked = {"market": market, "timeframe": timeframe, "limit": "10", "wait": "0"}
            answer = http.get("/api/v1/candles", params=asked)
        except httpx.TransportError as exc:
            self.faults.append(f"no answer: {exc!r}")
            return
        after = self.now()
        self.answers += 1
        self.statuses[answer.status_code] += 1
        if answer.status_code == 503 and self.may_be_away:
            return
        self.faults += faults_of(answer, timeframe, before, after, self.max_error_s)
        if answer.status_code in (200, 202):
            self.claims.note(market, timeframe, answer.json(), after)
        if self.kept is not None:
            with self.kept.open("a") as file:
                file.write(
                    json.dumps({"at": after, "market": market, "timeframe": timeframe, "body": answer.text}) + "\n"
                )


def faults_of(
    answer: httpx.Response, timeframe: str, before: float, after: float, max_error_s: float | None = MAX_ERROR_S
) -> list[str]:
    """Return what is false in an answer that was given between two true times (seconds), whatever was traded."""
    if answer.status_code not in (200, 202):
        return [f"status {answer.status_code}: {answer.text[:200]}"]
    body, now_ms = answer.json(), after * 1000
    found = []
    server = body["server_time"] / 1000
    if max_error_s is not None and not before - max_error_s < server < after + max_error_s:
        found.append(f"server_time is {server - after:.1f} s from the truth")
    if (body["watermark"] or 0) > now_ms:
        found.append(f"the watermark is {body['watermark'] / 1000 - after:.1f} s ahead")
    closed = body["columns"].index("closed")
    found += [
        f"{timeframe} {row[0]} is closed before it is over"
        for row in body["candles"]
        if row[closed] and row[0] + LENGTHS_MS[timeframe] > now_ms
    ]
    parts = [(part["state"], part["to"]) for part in body["coverage"]]
    if body["complete"] and (lacking := [part for part in parts if part[0] in ("gap", "partial")]):
        found.append(f"complete with {lacking}")
    return found + [f"{state} until {until}" for state, until in parts if state in PROVEN and until > now_ms]
