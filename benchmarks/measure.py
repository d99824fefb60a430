"""Measure how the code reads: `make measure`. It says nothing about speed; `make bench` does.

Of the product's packages, migrations left out:

- A function's length is its lines from `def` to its last line, docstring and comments included, decorators not.
  Functions inside functions count too. p90 is the nearest rank: nine in ten functions are at most that long.
- A private helper is a function or method whose name begins with one underscore. It has a single caller if its file
  reads its name once. What other files do is not asked: no file here imports another's private names.
- It could stand where it is called unless Python or the reader needs it as a function: it is handed on as a value or a
  task, decorated, a generator, one of several of that name (an override), or called for each element of an expression.
- Stations are the functions that one GET of candles enters (stations.py), once the process is warm: cold, the answer is
  read from the database; hot, it is the cached one. Counted over the whole way, and from `early_answer` on.

`--static` leaves the stations out and needs no servers. `--repo DIR` measures another checkout, statically.
`--list` adds where each thing is, as a work list.
"""

from __future__ import annotations

import argparse
import ast
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "actor_runtime",
    "actors",  # what actor_runtime was called before
    "config",
    "consumers",
    "coordination",
    "dashboard",
    "datastore",
    "ingestion",
    "metering",
    "simulator",
    "streaming",
)
MAX_FILE_LINES = 300
PARAGRAPH_LINES = 8  # a helper with one caller that is no longer than this could stand where it is called
LISTED_FUNCTIONS = 40
PER_ELEMENT = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)


@dataclass(frozen=True, slots=True)
class Function:
    """A function and where it is; reads: how often its file reads its name."""

    file: str
    line: int
    name: str
    length: int
    reads: int
    is_needed: bool = False  # as a function: it could not stand where it is called

    @property
    def is_private(self) -> bool:
        """Return whether it is a private helper."""
        return self.name.startswith("_") and not self.name.startswith("__")

    @property
    def has_single_caller(self) -> bool:
        """Return whether it is a private helper that is called in one place."""
        return self.is_private and self.reads == 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.name} ({self.length} {'line' if self.length == 1 else 'lines'})"


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found in a checkout; files: lines by path."""

    functions: Sequence[Function]
    files: dict[str, int]

    @property
    def single_callers(self) -> list[Function]:
        """Return the private helpers that are called in one place, by file and line."""
        return [function for function in self.functions if function.has_single_caller]

    @property
    def long_files(self) -> dict[str, int]:
        """Return the files that are longer than they should be."""
        return {file: lines for file, lines in self.files.items() if lines > MAX_FILE_LINES}


def functions_of(source: str, file: str) -> list[Function]:
    """Return the functions of a module in the order of their lines."""
    nodes = list(ast.walk(ast.parse(source)))
    reads = Counter(name for node in nodes if (name := _name_read(node)))
    definitions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    defined, inline = Counter(node.name for node in definitions), _called_in_statements(nodes)
    found = []
    for node in definitions:
        needed = defined[node.name] > 1 or bool(node.decorator_list) or node.name not in inline
        needed = needed or any(isinstance(part, ast.Yield | ast.YieldFrom) for part in ast.walk(node))
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        found.append(Function(file, node.lineno, node.name, length, reads[node.name], needed))
    return sorted(found, key=lambda function: function.line)


def _called_in_statements(nodes: Sequence[ast.AST]) -> set[str]:
    """Return the names that are called where a statement could stand: not per element, and no task for later."""
    per_element = {
        part for node in nodes if isinstance(node, PER_ELEMENT) for part in ast.walk(node) if part is not node
    }
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    tasks = {part for node in calls for part in node.args if _name_read(node.func) == "create_task"}
    return {name for node in calls if node not in per_element and node not in tasks and (name := _name_read(node.func))}


def _name_read(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        return node.attr
    return None


def measure(repo: Path) -> Measured:
    """Read the product's packages of a checkout."""
    functions: list[Function] = []
    files: dict[str, int] = {}
    for path in sorted(path for package in PACKAGES for path in (repo / package).rglob("*.py")):
        if "migrations" in path.parts:
            continue
        file, source = str(path.relative_to(repo)), path.read_text()
        functions += functions_of(source, file)
        files[file] = len(source.splitlines())
    return Measured(functions, files)


def p90(lengths: Sequence[int]) -> int:
    """Return the length that nine in ten do not exceed."""
    return sorted(lengths)[math.ceil(0.9 * len(lengths)) - 1]


def report(found: Measured) -> Iterator[str]:
    """Yield the figures, with the aims of the house beside them."""
    lengths = [function.length for function in found.functions]
    private = sum(function.is_private for function in found.functions)
    single = found.single_callers
    inline = [function for function in single if not function.is_needed]
    short = sum(function.length <= PARAGRAPH_LINES for function in inline)
    yield f"functions                {len(lengths):,} in {len(found.files)} files"
    yield f"  length, median         {median(lengths):g} lines (aim 7 to 9)"
    yield f"  length, p90            {p90(lengths)} lines (aim under 28), the longest {max(lengths)}"
    yield f"private helpers          {private}"
    yield f"  with a single caller   {len(single)}, {len(single) / len(lengths):.1%} of all functions"
    yield f"    could stand there    {len(inline)}, {len(inline) / len(lengths):.1%} (aim under 8 %)"
    yield f"    of {PARAGRAPH_LINES} lines at most   {short}"
    yield f"files over {MAX_FILE_LINES} lines     {len(found.long_files)} (aim 0)"


def work_list(found: Measured) -> Iterator[str]:
    """Yield the longest functions, the longest files and every helper with a single caller."""
    yield f"\nThe {LISTED_FUNCTIONS} longest functions:"
    yield from map(str, sorted(found.functions, key=lambda function: -function.length)[:LISTED_FUNCTIONS])
    yield f"\nFiles over {MAX_FILE_LINES} lines:"
    yield from (f"{file} ({lines} lines)" for file, lines in found.long_files.items())
    yield "\nPrivate helpers with a single caller:"
    yield from (f"{helper}{' as a function' if helper.is_needed else ''}" for helper in found.single_callers)


def _stations(listed: bool) -> Iterator[str]:
    from benchmarks.servers import servers

    with servers():
        import django

        django.setup()
        from django.core.management import call_command

        from benchmarks import stations

        call_command("migrate", verbosity=0)
        yield from stations.report(stations.of_candles(), listed)


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser("python -m benchmarks.measure", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--static", action="store_true", help="leave out the stations, which need servers")
    parser.add_argument("--repo", type=Path, metavar="DIR", help="measure this checkout, statically")
    parser.add_argument("--list", action="store_true", help="print where each thing is")
    asked = parser.parse_args()
    found = measure(asked.repo or ROOT)
    if not found.files:
        parser.error(f"none of the product's packages is in {asked.repo}")
    print("\n".join(report(found)), flush=True)
    if not asked.static and asked.repo is None:
        print("\n".join(_stations(asked.list)))
    if asked.list:
        print("\n".join(work_list(found)))


if __name__ == "__main__":
    main()
