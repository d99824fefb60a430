"""Passwords and keys never leave the process: not in logs, not in errors, not in rows."""

from __future__ import annotations

import re
from collections.abc import Iterable

MIN_SECRET_CHARS = 8  # a shorter one would redact ordinary words
REDACTED = "…"
_SECRET_PATTERNS = (
    (re.compile(r"(?<=://)[^/@\s]*@"), "…@"),
    (re.compile(r"(?i)(api_?key|apikey|password|token|secret)([\"']?\s*[=:]\s*[\"']?)[^\s&\"']+"), r"\1\2…"),
    (re.compile(r"(?i)(authorization[\"']?\s*:\s*[\"']?\w+\s+)[^\s\"']+"), r"\1…"),
)
_SECRET_NAME = re.compile(r"(?i)api_?key|password|token|secret|authorization")
_secrets: set[str] = set()


def keep_secret(values: Iterable[str]) -> None:
    """Redact these values wherever they appear from now on."""
    _secrets.update(value for value in values if len(value) >= MIN_SECRET_CHARS)


def without_secrets(text: str) -> str:
    """Return text with known secrets, and what looks like a secret, redacted."""
    for value in _secrets:
        text = text.replace(value, REDACTED)
    for pattern, replacement in _SECRET_PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def names_a_secret(name: str) -> bool:
    """Return whether a value of this name is a secret, judged by the name alone."""
    return bool(_SECRET_NAME.search(name))
