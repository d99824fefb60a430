"""The base of every run_* command."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand

from actors.runner import run
from actors.shift import Work


class ActorCommand(BaseCommand, ABC):
    """Run one actor until SIGTERM or SIGINT; the turn in hand is finished and the row given back."""

    @abstractmethod
    def work(self, **options: Any) -> Work:
        """Return what the actor does."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the actor."""
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run(self.work(**options), stop)
