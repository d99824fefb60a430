"""How far jobs may publish ahead of the consumer.

All requests share a topic, and what is read first is stored first. Were a year of minutes published as fast as the
provider gives it, the hour that someone else waits for would lie behind all of it, and a broker that is short of
memory would have to keep it.
"""

from __future__ import annotations

from time import monotonic

from ingestion.history.fetch_lease import Lease
from ingestion.history.job_calls import MAX_JOB_WAIT_S, JobCalls
from streaming.broker import TopicAdmin
from streaming.errors import StreamLost, StreamUnavailable
from streaming.topics import CONSUMER_GROUP, Topic

MAX_UNREAD_RECORDS = 8_000  # four pages: the consumer has a full batch before it, and is through in about a second
PAUSE_S = 0.1  # between two looks
GIVEN_BACK_S = 5.0  # for which a request is left alone once a job has waited for MAX_JOB_WAIT_S


class TopicRoom:
    """For one job, its topic, and whether that has room for a further page."""

    def __init__(self, topic: Topic, admin: TopicAdmin, calls: JobCalls) -> None:
        """Make the topic if there is none. The connection is closed with this."""
        self._topic, self._admin, self._calls = topic.name, admin, calls
        self._full_since: float | None = None  # monotonic
        admin.create_topic(topic.name, topic.partitions)

    def has_room(self, lease: Lease) -> bool:
        """Return whether to go on; False after a short wait, or with the request given back after a long one.

        The first page of a request needs no room: it may be all that someone waits for.
        """
        unread = self._unread() if lease.pages_done else 0
        if unread <= MAX_UNREAD_RECORDS:
            self._full_since = None
            return True
        now = monotonic()
        self._full_since = self._full_since or now
        if now - self._full_since > MAX_JOB_WAIT_S:
            lease.give_back(GIVEN_BACK_S, f"{unread} records of {self._topic} are not stored yet")
        else:
            self._calls.session.waiting(f"the consumer of {self._topic}")
            self._calls.session.stop.wait(PAUSE_S)
        return False

    def close(self) -> None:
        """Close the connection."""
        self._admin.close()

    def _unread(self) -> int:
        try:
            return self._admin.unread(CONSUMER_GROUP, [self._topic], shared=True).get(self._topic, 0)
        except (StreamUnavailable, StreamLost):
            return 0  # what is wrong is found, and reported, when the page is published
