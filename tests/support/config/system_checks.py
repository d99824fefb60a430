"""What Django's system checks found."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.checks import CheckMessage


def ids(messages: Sequence[CheckMessage]) -> list[str | None]:
    assert all(message.hint for message in messages)
    return [message.id for message in messages]
