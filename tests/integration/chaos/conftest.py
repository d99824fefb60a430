from __future__ import annotations

from tests.support.e2e.fixtures import home, output_of_a_failed_test

__all__ = ["home", "output_of_a_failed_test"]
