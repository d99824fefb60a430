"""Where the tests' own code lives."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
OF_A_TEST_MODULE = re.compile(r"^\s*(?:from|import) tests\.(?:[\w.]+\.)?(?:test_\w+|conftest)\b", re.MULTILINE)


def test_what_tests_share_lives_in_support_and_no_test_module_is_imported() -> None:
    importing = [
        str(path.relative_to(TESTS)) for path in TESTS.rglob("*.py") if OF_A_TEST_MODULE.search(path.read_text())
    ]
    assert importing == []
