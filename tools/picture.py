"""Draw docs/architecture.svg from the import contracts of pyproject.toml, so that the picture cannot drift.

A row is a layer: it may import the rows below it and nothing above. Boxes that share a row do not import each other.
What a box says is the first sentence of its package's `__init__.py`; an actor is marked where its `*_actor.py` is.
`python -m tools.picture` writes the file, `--check` exits with 1 where the file is not what would be written.
"""

from __future__ import annotations

import ast
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
WIDTH, MARGIN, GAP = 1080, 20, 10  # pixels, as everything below
HEADING, LINE, CHARACTER = 24, 15, 6.1
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #334155 }
  .name { font-weight: 600; font-size: 13px; fill: #0f172a }
  .actor { font-weight: 600; font-size: 11px; fill: #7c2d12 }
  .box { fill: #f8fafc; stroke: #94a3b8 } .open { fill: #eef2ff; stroke: #818cf8 } .badge { fill: #ffedd5 }
  .paper { fill: #ffffff }
"""


@dataclass(frozen=True, slots=True)
class Box:
    """One package: its dotted name, what it says of itself, its actors, and the rows drawn inside of it."""

    name: str
    says: str
    actors: tuple[str, ...]
    rows: tuple[tuple[Box, ...], ...] = ()

    def lines(self, width: int) -> list[str]:
        """Return its sentence in lines that fit into a box of this width."""
        return textwrap.wrap(self.says, max(10, int((width - 2 * GAP) / CHARACTER)))

    def height(self, width: int) -> int:
        """Return how high the box must be at this width."""
        own = HEADING + LINE * len(self.lines(width)) + (LINE + 6 if self.actors else 0) + GAP
        return own + sum(row_height(row, width - 2 * GAP) + GAP for row in self.rows)


def row_height(row: tuple[Box, ...], width: int) -> int:
    """Return the height of boxes side by side that share this width."""
    return max(box.height(column(row, width)) for box in row)


def column(row: tuple[Box, ...], width: int) -> int:
    """Return the width of each box of a row."""
    return (width - GAP * (len(row) - 1)) // len(row)


def contracts() -> tuple[list[str], dict[str, list[str]]]:
    """Return the layers of the whole, and those inside of each package that has a contract of its own."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [contract for contract in settings if contract["type"] == "layers"]
    whole = next(contract["layers"] for contract in layers if "containers" not in contract)
    return whole, {contract["containers"][0]: contract["layers"] for contract in layers if "containers" in contract}


def box_of(module: str, inner: dict[str, list[str]], *, opened: bool) -> Box:
    """Return the box of a package or module, opened where its inner order is to be drawn too."""
    path = ROOT / module.replace(".", "/")
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    says = (ast.get_docstring(ast.parse(source.read_text())) or "").split("\n\n")[0].replace("\n", " ").replace("`", "")
    first = says.split(". ")[0].rstrip(".:")
    found = (
        sorted(p for p in path.rglob("*_actor.py") if "management" not in p.parts)
        if path.is_dir() and not opened
        else []
    )
    if opened:
        rows = tuple(rows_of(inner[module], inner, module))
        return Box(module, first, tuple(actor_name(p) for p in path.glob("*_actor.py")), rows)
    return Box(module, first, tuple(actor_name(p) for p in found))


def actor_name(path: Path) -> str:
    """Return an actor as people call it: the stem of its file without `_actor`."""
    return path.stem.removesuffix("_actor").replace("_", " ")


def rows_of(layers: list[str], inner: dict[str, list[str]], container: str = "") -> list[tuple[Box, ...]]:
    """Return one row of boxes per layer, highest first."""
    rows = []
    for layer in layers:
        names = [f"{container}.{part.strip()}" if container else part.strip() for part in layer.split("|")]
        rows.append(tuple(box_of(name, inner, opened=name == "datastore") for name in names))
    return rows


def draw_box(box: Box, x: int, y: int, width: int, height: int) -> list[str]:
    """Return the SVG elements of a box and of all inside of it."""
    kind = "open" if box.rows else "box"
    parts = [f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>']
    parts.append(f'<text class="name" x="{x + GAP}" y="{y + 18}">{escape(box.name.split(".", 1)[-1])}</text>')
    top = y + HEADING
    for line in box.lines(width):
        top += LINE
        parts.append(f'<text x="{x + GAP}" y="{top - 3}">{escape(line)}</text>')
    if box.actors:
        label = "actors: " + ", ".join(box.actors) if len(box.actors) > 1 else f"actor: {box.actors[0]}"
        wide = int(len(label) * CHARACTER) + 2 * GAP
        parts.append(f'<rect class="badge" x="{x + GAP}" y="{top + 4}" width="{wide}" height="{LINE + 3}" rx="8"/>')
        parts.append(f'<text class="actor" x="{x + 2 * GAP}" y="{top + 17}">{escape(label)}</text>')
        top += LINE + 6
    return parts + draw_rows(box.rows, x + GAP, top + GAP, width - 2 * GAP)[0]


def draw_rows(rows: tuple[tuple[Box, ...], ...], x: int, y: int, width: int) -> tuple[list[str], int]:
    """Return the SVG elements of rows, one below the other, and where they end."""
    parts: list[str] = []
    for row in rows:
        each, height = column(row, width), row_height(row, width)
        for number, box in enumerate(row):
            parts += draw_box(box, x + number * (each + GAP), y, each, height)
        y += height + GAP
    return parts, y


def picture() -> str:
    """Return the whole picture as SVG."""
    layers, inner = contracts()
    rows = (*rows_of(layers, inner), (box_of("simulator", inner, opened=False),))
    parts, end = draw_rows(rows, MARGIN, MARGIN, WIDTH - 2 * MARGIN)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{end + MARGIN}" role="img"'
    label = 'aria-label="The packages of Candlekeep: each imports only what is below it"'
    paper = f'<rect class="paper" width="{WIDTH}" height="{end + MARGIN}"/>'
    return "\n".join([f"{head} {label}>", f"<style>{STYLE}</style>", paper, *parts, "</svg>", ""])


def main() -> int:
    """Write the picture, or compare it; return the exit status."""
    if "--check" not in sys.argv[1:]:
        PICTURE.write_text(picture())
        return 0
    if PICTURE.exists() and PICTURE.read_text() == picture():
        return 0
    print("docs/architecture.svg is not what the import contracts say: run python -m tools.picture")
    return 1


if __name__ == "__main__":
    sys.exit(main())
