"""The blocks of docs/recipes.md, as they are there but for the address."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "recipes.md"
ADDRESS = "http://127.0.0.1:8000"


def blocks(heading: str, address: str) -> dict[str, str]:
    """Return the blocks below a heading by their language, with another address in them."""
    part = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {kind: text.replace(ADDRESS, address) for kind, text in re.findall(r"```(\w*)\n(.*?)```", part, re.DOTALL)}


def python_blocks(*wanted: str) -> list[str]:
    """Return all Python blocks below these headings, as they are."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    chapters = dict(zip(parts[1::2], parts[2::2], strict=True))
    return [block for name in wanted for block in re.findall(r"```python\n(.*?)```", chapters[name], re.DOTALL)]


def headings() -> list[str]:
    """Return what there is a recipe for."""
    return re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)
