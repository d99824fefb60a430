"""The broker of the settings: the streaming layer itself reads none."""

from __future__ import annotations

from django.conf import settings

from streaming.connect import connect
from streaming.port import Broker


def configured_broker() -> Broker:
    """Return the broker of STREAM_URL; nothing is connected yet. Raises StreamError for a URL of no known kind."""
    return connect(settings.STREAM_URL, settings.STREAM_MAXLEN, settings.KAFKA)
