"""The fixtures of the end-to-end tests serve here too."""

from __future__ import annotations

from tests.integration.e2e.conftest import home, told

__all__ = ["home", "told"]
