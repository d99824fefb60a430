"""The admin site of the datastore's rows: everything can be looked at, nothing edited by hand.

`pages` holds most of them; keys and streams, which have actions, have files of their own.
Importing this package registers all of them.
"""

from __future__ import annotations

from datastore.admin import api_keys, pages, streams

__all__ = ["api_keys", "pages", "streams"]
