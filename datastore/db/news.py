"""What another process wrote, said by the database: a loop with nothing to do asks nothing until it hears of something.

The word goes out with the commit of the transaction that calls tell(). A pooler between us and the server may keep it
from us, so a listener first has to hear itself; until then, and once in ASK_ANYWAY_S, there may always be news.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connection
from psycopg import Connection, Notify

from datastore.db.queries import execute

CHANNEL = "candlekeep_news"
ASK_ANYWAY_S = 10.0
LISTEN = f"listen {CHANNEL}"
SAY = "select pg_notify(%(channel)s, %(words)s)"


class Subject(StrEnum):
    """What there may be news of."""

    WORK = "work"  # requests to fetch, and streams that want a topic: for the Coordinator
    FEEDS = "feeds"  # how far feeds are acknowledged: for those who say how far they are stored
    ROUTES = "routes"  # which markets are followed, and which topics they are routed to


def tell(subject: Subject) -> None:
    """Let those who listen know, once the transaction is committed."""
    execute(SAY, {"channel": CHANNEL, "words": subject})


class News:
    """Whether there is news of a subject, for a loop that would else ask the database again and again."""

    def __init__(self, subject: Subject, steady: Callable[[], float] = time.monotonic) -> None:
        self._subject = subject
        self._steady = steady
        self._heard: tuple[Connection[Any], int] | None = None  # on which connection, and how often
        self._due = 0.0

    def any(self) -> bool:
        """Return whether there may be news since this was last true; raise OperationalError.

        Ask before you read the rows: what is written in between is news for the next time.
        """
        connection.ensure_connection()
        link: Connection[Any] = connection.connection
        mailbox = _mailboxes.get(link) or _Mailbox(link)
        with connection.wrap_database_errors:
            mailbox.empty(link)
        heard, now = (link, mailbox.heard[self._subject]), self._steady()
        if heard == self._heard and mailbox.hears_itself and now < self._due:
            return False
        self._heard, self._due = heard, now + ASK_ANYWAY_S
        return True


class _Mailbox:
    """What one connection has heard."""

    def __init__(self, link: Connection[Any]) -> None:
        self.heard: Counter[str] = Counter()
        self._me = f"here {link.info.backend_pid}"
        link.add_notify_handler(self._hear)  # for what arrives beside the answer to a statement
        execute(LISTEN)
        execute(SAY, {"channel": CHANNEL, "words": self._me})
        _mailboxes[link] = self

    @property
    def hears_itself(self) -> bool:
        """Return whether what is said reaches this connection."""
        return bool(self.heard[self._me])

    def empty(self, link: Connection[Any]) -> None:
        """Read what has arrived, without waiting."""
        link.pgconn.consume_input()
        while found := link.pgconn.notifies():
            self.heard[found.extra.decode()] += 1

    def _hear(self, notify: Notify) -> None:
        self.heard[notify.payload] += 1


_mailboxes: WeakKeyDictionary[Connection[Any], _Mailbox] = WeakKeyDictionary()
