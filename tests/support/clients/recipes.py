"""The blocks of docs/recipes.md, as they are there but for the address."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "recipes.md"
ADDRESS = "http://127.0.0.1:8000"


BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def blocks(heading: str, address: str) -> dict[str, str]:
    """Return the blocks below a heading by their language, the last of each, with another address in them."""
    return {kind: text.replace(ADDRESS, address) for kind, text in BLOCK.findall(_below(heading))}


def python_blocks(*wanted: str) -> list[str]:
    """Return all Python blocks below these headings, as they are."""
    return [text for name in wanted for kind, text in BLOCK.findall(_below(name)) if kind == "python"]


def headings() -> list[str]:
    """Return what there is a recipe for."""
    return re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)


def _below(heading: str) -> str:
    _, found, rest = PAGE.read_text().partition(f"\n## {heading}\n")
    assert found, f"docs/recipes.md has no heading {heading}"
    return rest.partition("\n## ")[0]
