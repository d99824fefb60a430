"""What Django's system checks found."""

from __future__ import annotations

from config import checks


def ids(messages: list[checks.CheckMessage]) -> list[str | None]:
    assert all(message.hint for message in messages)
    return [message.id for message in messages]
