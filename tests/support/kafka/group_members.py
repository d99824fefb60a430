"""Members of a group, each in a thread of its own as each would be a process, that store what they read in one list."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

from streaming.broker import Record
from streaming.kafka.broker import KafkaBroker
from tests.support.polling import until
from tests.support.streaming.contract import GROUP, TOPIC

BATCH = 50


class Store:
    """Keeps records in the order in which they were stored, as the database would: a repeat changes nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.by_key: dict[str, list[int]] = defaultdict(list)
        self.seen: set[int] = set()
        self.repeats = 0

    def keep(self, records: Sequence[Record]) -> None:
        with self._lock:
            for record in records:
                number = int(record.value)
                self.repeats += number in self.seen
                if number not in self.seen:
                    self.by_key[record.key].append(number)
                self.seen.add(number)

    def in_order(self) -> bool:
        """Return whether each key's records were stored in the order of their numbers."""
        return all(numbers == sorted(numbers) for numbers in self.by_key.values())


class Member:
    """Polls, stores and commits until it is asked to leave."""

    def __init__(self, broker: KafkaBroker, store: Store, group: str = GROUP) -> None:
        self._broker, self._store, self._group = broker, store, group
        self.commits = threading.Event()  # cleared: what is read is held back
        self.commits.set()
        self._stop = threading.Event()
        self.read = 0
        self.partitions = 0
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            subscription = self._broker.subscribe(self._group, [TOPIC])
            held: list[Record] = []
            while not self._stop.is_set():
                records = subscription.poll(0.1, BATCH)
                held += records
                if self.commits.is_set():
                    self._store.keep(held)
                    subscription.commit(held)
                    held = []
                self.read += len(records)
                self.partitions = len(subscription._positions)
            subscription.close()
        except BaseException as exc:
            self.failure = exc

    def leave(self) -> None:
        """Leave the group in the ordinary way."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self.failure is None, repr(self.failure)


def shared(*members: Member, seconds: float = 60) -> None:
    """Wait until each member has its part of the eight partitions, and all together have all."""
    fair = 8 // len(members)

    def dealt_out() -> bool:
        assert not [member.failure for member in members if member.failure], members
        counts = [member.partitions for member in members]
        return sum(counts) == 8 and min(counts) >= fair

    until(f"{len(members)} members share the partitions", dealt_out, seconds)
