"""The admin site: every row of the datastore can be read there, none edited by hand.

Most pages are in `pages`; API keys and streams, which have actions, have files of their own.
Importing this package registers all of them.
"""

from __future__ import annotations

from datastore.admin import api_keys, pages, streams

__all__ = ["api_keys", "pages", "streams"]
