"""Find words in comments, docstrings, messages and documents that an English-speaking engineer would not use.

`python -m tools.prose` lists each with its place and exits with 1 where there is any. Names in the code are not
looked at, since a name may have to be what a protocol calls it.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

# The word, and what is usually said instead.
WORDS = {
    "anew": "again",
    "told": "reported, notified, or the message itself",
    "whoever": "name the person or the part",
    "whomever": "name the person or the part",
    "somebody": "someone, or name the part",
    "of ours": "our",
    "stands": "is, or comes",
    "to be had": "available",
    "lets go": "releases",
    "let go of": "release",
    "brings along": "brings",
    "at the most": "at most",
    "he": "it, or they",
    "him": "it, or them",
    "his": "its, or their",
    "himself": "itself",
    "letters' size": "case",
    "as above": "repeat it",
    "tell whether": "return whether",
    "say whether": "return whether",
    "raises so": "name the error",
}
# "stands by", "stands still", "stands for" and "stands alone" are what people say.
PATTERN = re.compile(r"\b(" + "|".join(map(re.escape, WORDS)) + r")\b(?! (by|still|for|alone)\b)", re.IGNORECASE)
PLACEHOLDER = re.compile(r"\{[^{}]*\}|%\(\w+\)s")  # a name in a string is code
TEXT = {".md", ".html", ".js", ".css", ".sql", ".yml", ".toml", ".in", ".svg"}
PASSED_OVER = ("LICENSE", "tools/prose.py")


def findings(path: str, text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, word and line for each such word of a file; of Python only comments and strings count."""
    for number, line in _prose(path, text):
        for hit in PATTERN.finditer(PLACEHOLDER.sub("", line)):
            yield number, hit.group(0), line.strip()


def _prose(path: str, text: str) -> Iterator[tuple[int, str]]:
    if not path.endswith(".py"):
        yield from enumerate(text.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield from enumerate(token.string.splitlines(), token.start[0])


def main() -> int:
    """Look through all files that git tracks; return the exit status."""
    listed = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True)  # noqa: S607
    names = [name for name in listed.stdout.split("\n") if Path(name).suffix in TEXT | {".py"} or name == "Makefile"]
    found = 0
    for name in names:
        if name in PASSED_OVER or not Path(name).exists():
            continue
        for number, word, line in findings(name, Path(name).read_text()):
            print(f'{name}:{number}: "{word}" ({WORDS[word.lower()]}): {line[:120]}')
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
