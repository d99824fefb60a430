"""The broker named in the settings, which the streaming layer itself does not read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from django.conf import settings

from actor_runtime.breaker import breaker_of
from streaming.broker import Broker, TopicAdmin
from streaming.broker_factory import connect
from streaming.errors import StreamUnavailable

BRIEF_ANSWER_S = 1.0


def configured_broker() -> Broker:
    """Return the broker of STREAM_URL, not yet connected; raise StreamError if the URL is of no known kind."""
    return connect(settings.STREAM_URL, settings.STREAM_MAXLEN, settings.KAFKA)


@contextmanager
def brief_admin() -> Iterator[TopicAdmin]:
    """Give the administration of the broker for what pages and metrics show: it does not wait long for answers.

    Raises StreamError, at once if the stream did not answer a moment ago.
    """
    with breaker_of(settings.STREAM_URL).asking(StreamUnavailable):
        broker = connect(settings.STREAM_URL, settings.STREAM_MAXLEN, settings.KAFKA, BRIEF_ANSWER_S)
        with closing(broker.admin()) as admin:
            yield admin
