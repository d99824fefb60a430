"""What can go wrong with a broker, by what to do about it.

StreamError
├── StreamUnavailable   wait and retry
│   └── PublishFailed   the same, and it names the records that were not acknowledged
├── BadRecord           this record goes to the dead letters, the batch goes on
└── StreamLost          the actor goes to Error
    ├── GroupLost
    └── TopicMissing
"""

from __future__ import annotations

from collections.abc import Sequence

from streaming.refusals import Refusal, RefusalCode


class StreamError(Exception):
    """The streaming layer failed."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class StreamUnavailable(StreamError):
    """The broker does not answer, or is full."""


class PublishFailed(StreamUnavailable):
    """Some records were not acknowledged."""

    def __init__(self, message: str, failed: Sequence[int]) -> None:
        super().__init__(message)
        # Positions in the list given to publish(), ascending: resend these, in this order, before anything else.
        self.failed = tuple(failed)


class BadRecord(StreamError):
    """A record cannot be read, or the broker refuses it for good."""

    def __init__(self, message: str = "", index: int | None = None, code: RefusalCode = RefusalCode.UNREADABLE) -> None:
        super().__init__(message)
        self.index = index  # in the list given to publish()
        self.refusal = Refusal(code, str(self))


class StreamLost(StreamError):
    """What we read from or write to is gone."""


class GroupLost(StreamLost):
    """The consumer group is gone, and with it the position."""


class TopicMissing(StreamLost):
    """The topic does not exist."""
