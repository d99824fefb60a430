"""The bases of the run_* commands."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand

from actor_runtime.collection import leave_out_what_is_loaded
from actor_runtime.loop.actor_loop import Work
from actor_runtime.loop.pool_loop import PoolWork
from actor_runtime.loop.runner import run, run_many
from actor_runtime.stop_event import StopEvent


class ProcessCommand(BaseCommand, ABC):
    """Run until SIGTERM or SIGINT, then finish the turn in hand and release what is owned."""

    @abstractmethod
    def go(self, stop: Event, **options: Any) -> None:
        """Work until stop."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        leave_out_what_is_loaded()
        stop = StopEvent()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.go(stop, **options)


class ActorCommand(ProcessCommand):
    """Run one actor."""

    @abstractmethod
    def work(self, **options: Any) -> Work:
        """Return what the actor does."""

    def go(self, stop: Event, **options: Any) -> None:
        """Run the actor."""
        run(self.work(**options), stop)


class ActorPoolCommand(ProcessCommand):
    """Run many actors of a chart in one process."""

    @abstractmethod
    def work(self, **options: Any) -> PoolWork:
        """Return what the actors do together."""

    def go(self, stop: Event, **options: Any) -> None:
        """Run the actors."""
        run_many(self.work(**options), stop)
