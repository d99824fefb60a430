"""Numbers in sentences for people."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return the number, its thousands apart, with its noun: 1 gap, 1,200 gaps. For nouns that take an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
