"""Static files of others that come as wheels without being Django apps: served from where they are installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.utils import matches_patterns
from django.core.files.storage import FileSystemStorage

PREFIX = "vendor"
# The file's name under /static/vendor/: the package that brings it, and where it is in there.
FILES = {"lightweight-charts.js": ("litecharts", "js/lightweight-charts.js")}


def path_of(package: str, inside: str) -> Path:
    """Return where a file of an installed package is, without importing the package; raise ModuleNotFoundError."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not installed: pip install -r requirements.txt")
    return Path(next(iter(spec.submodule_search_locations))) / inside


class WheelFinder(BaseFinder):
    """Finds the files of FILES, and nothing else of their packages."""

    def find(self, path: str, find_all: bool = False, **_more: Any) -> Any:
        """Return the file's path, or a list of it if all are asked for; [] if it is not in FILES."""
        prefix, _, name = path.partition("/")
        if prefix != PREFIX or name not in FILES:
            return []
        found = str(path_of(*FILES[name]))
        return [found] if find_all else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, FileSystemStorage]]:
        """Yield each file's name with a storage that holds it."""
        for name, (package, inside) in FILES.items():
            if matches_patterns(name, list(ignore_patterns or [])):
                continue
            storage = FileSystemStorage(location=path_of(package, inside).parent)
            storage.prefix = PREFIX  # type: ignore[attr-defined] # how collectstatic and WhiteNoise ask for it
            yield path_of(package, inside).name, storage
