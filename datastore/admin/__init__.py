"""The admin site: every row of the datastore can be read there, none edited by hand.

A module for each subject; what their pages share is in `columns` and in `actor_runtime.read_only_admin`.
Importing this package registers all of them.
"""

from __future__ import annotations

from datastore.admin import api_keys, backfill, coverage, dead_letters, markets, streams

__all__ = ["api_keys", "backfill", "coverage", "dead_letters", "markets", "streams"]
