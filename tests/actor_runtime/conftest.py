from __future__ import annotations

from tests.support.postgres import home, server

__all__ = ["home", "server"]
