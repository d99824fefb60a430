"""What an error of the library means to us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors as library

from streaming.errors import GroupLost, StreamError, StreamUnavailable, TopicMissing

# What the library raises: its own, the socket's, and RuntimeError while a client is being closed.
CLIENT_ERRORS = (library.KafkaError, OSError, RuntimeError)
_LOST_GROUP = (
    library.CommitFailedError,
    library.FencedInstanceIdError,
    library.IllegalGenerationError,
    library.RebalanceInProgressError,
    library.UnknownMemberIdError,
)
# Not by `retriable`: the library counts a missing topic as that, since it may be on its way.
_MISSING_TOPIC = (library.InvalidTopicError, library.UnknownTopicIdError, library.UnknownTopicOrPartitionError)
_WRONG_REQUEST = (
    library.InvalidConfigurationError,
    library.InvalidPartitionsError,
    library.InvalidReplicationFactorError,
    library.KafkaConfigurationError,
    library.PolicyViolationError,
    library.UnsupportedVersionError,
)


def stream_error(exc: BaseException) -> StreamError:
    """Return our error for one of the library's.

    A wrong password or a missing right counts as "not now": only the operator can fix it, and once it is fixed there
    should be nothing to reset here.
    """
    text = error_text(exc)
    if isinstance(exc, _LOST_GROUP):
        return GroupLost(text)
    if isinstance(exc, _MISSING_TOPIC):
        return TopicMissing(text)
    if isinstance(exc, _WRONG_REQUEST):
        return StreamError(f"the cluster refuses: {text}")
    return StreamUnavailable(text)


def error_text(exc: BaseException) -> str:
    """Return an error's kind and the beginning of its text, which may hold a whole request."""
    text = " ".join(str(exc).split())
    name = type(exc).__name__.removesuffix("Error")
    return (text if text.startswith(name) else f"{name}: {text}")[:300]


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise our errors where the block raises the library's."""
    try:
        yield
    except CLIENT_ERRORS as exc:
        raise stream_error(exc) from exc
