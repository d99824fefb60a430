"""The broker named in the settings, which the streaming layer itself does not read."""

from __future__ import annotations

from django.conf import settings

from streaming.broker import Broker
from streaming.broker_factory import connect


def configured_broker() -> Broker:
    """Return the broker of STREAM_URL, not yet connected; raise StreamError if the URL is of no known kind."""
    return connect(settings.STREAM_URL, settings.STREAM_MAXLEN, settings.KAFKA)
