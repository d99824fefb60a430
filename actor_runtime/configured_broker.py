"""The broker of the settings: the streaming layer itself reads none."""

from __future__ import annotations

from django.conf import settings

from streaming.broker import Broker
from streaming.broker_factory import connect


def configured_broker() -> Broker:
    """Return the broker of STREAM_URL; nothing is connected yet. Raises StreamError for a URL of no known kind."""
    return connect(settings.STREAM_URL, settings.STREAM_MAXLEN, settings.KAFKA)
