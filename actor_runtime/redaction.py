"""Passwords and keys never leave the process: not in logs, not in errors, not in rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from urllib.parse import parse_qsl, quote, unquote, urlsplit

MIN_SECRET_CHARS = 8  # a shorter one would redact ordinary words
REDACTED = "…"
_SECRET_PATTERNS = (
    (re.compile(r"(?<=://)[^/\s]*@"), "…@"),
    # Our own API keys, and the tickets of streams, which are as good as a key for a day.
    (re.compile(r"\bck_[a-z0-9]{8}_[\w-]+"), "ck_…"),
    (
        re.compile(
            r"(?i)(api_?key|apikey|passw(?:or)?d|token|secret|ticket|sessionid)([\"']?\s*[=:]\s*[\"']?)[^\s&;\"']+"
        ),
        r"\1\2…",
    ),
    (re.compile(r"(?i)(authorization[\"']?\s*:\s*[\"']?\w+\s+)[^\s\"']+"), r"\1…"),
)
_SECRET_NAME = re.compile(r"(?i)api_?key|passw(or)?d|token|secret|authorization|cookie")
_secrets: set[str] = set()


def keep_secret(values: Iterable[str]) -> None:
    """Redact these values wherever they appear from now on, also as a URL or a page of HTML spells them."""
    for value in values:
        if len(value) >= MIN_SECRET_CHARS:
            _secrets.update({value, quote(value, safe=""), escape(value)})


def secrets_in(url: str) -> list[str]:
    """Return the password in a URL, as it is written and decoded, and what in its query is a secret by its name."""
    parts = urlsplit(url)
    queried = [value for name, value in parse_qsl(parts.query) if names_a_secret(name)]
    return [parts.password, unquote(parts.password), *queried] if parts.password else queried


def without_secrets(text: str) -> str:
    """Return text with known secrets, and what looks like a secret, redacted."""
    for value in sorted(_secrets, key=len, reverse=True):  # one may begin with another
        text = text.replace(value, REDACTED)
    for pattern, replacement in _SECRET_PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def names_a_secret(name: str) -> bool:
    """Return whether a value of this name is a secret, judged by the name alone."""
    return bool(_SECRET_NAME.search(name))
