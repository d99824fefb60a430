"""Examples of property tests: how many, and what becomes of what they write."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from django.db import transaction
from hypothesis import settings

P = ParamSpec("P")
# `make test-quick` looks at one in ten of the examples; `make test` and CI look at all.
SHARE = 10 if "QUICK_EXAMPLES" in os.environ else 1
USUAL_COUNT = 100 // SHARE  # of a test that does not say how many


def examples(count: int) -> settings:
    """Return the decorator of a property test that takes so many examples in a full run."""
    return settings(max_examples=max(count // SHARE, 5))


def rolled_back(example: Callable[P, None]) -> Callable[P, None]:
    """Take back what each example wrote to the test's database; this goes below `@given`.

    All examples run in the test's one transaction, and PostgreSQL walks over every row version that it left dead: the
    hundredth example would cost several times as much as the first.
    """

    @wraps(example)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with transaction.atomic():
            try:
                example(*args, **kwargs)
            finally:
                transaction.set_rollback(True)

    return run
