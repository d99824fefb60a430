"""Passwords and keys never leave the process: not in logs, not in errors, not in rows."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST = 8  # characters; a shorter one would blot out ordinary words
REDACTED = "…"
_SHAPES = (
    (re.compile(r"(?<=://)[^/@\s]*@"), "…@"),
    (re.compile(r"(?i)(api_?key|apikey|password|token|secret)([\"']?\s*[=:]\s*[\"']?)[^\s&\"']+"), r"\1\2…"),
    (re.compile(r"(?i)(authorization[\"']?\s*:\s*[\"']?\w+\s+)[^\s\"']+"), r"\1…"),
)
_NAMES = re.compile(r"(?i)api_?key|password|token|secret|authorization")
_known: set[str] = set()


def keep_secret(values: Iterable[str]) -> None:
    """Blot these values out wherever they appear from now on."""
    _known.update(value for value in values if len(value) >= SHORTEST)


def without_secrets(text: str) -> str:
    """Return text with what is known to be secret, and what looks like it, blotted out."""
    for value in _known:
        text = text.replace(value, REDACTED)
    for pattern, blot in _SHAPES:
        text = pattern.sub(blot, text)
    return text


def names_a_secret(name: str) -> bool:
    """Tell whether what stands under this name is a secret by its name alone."""
    return bool(_NAMES.search(name))
