"""Which format an Accept header asks for, where the query names none."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from datastore.series.written_format import FORMATS

JSON_TYPES = ("application/json", "application/*", "*/*", "text/html")  # browsers see the data, too
_QUALITY = re.compile(r";\s*q=([01](?:\.[0-9]{0,3})?)\s*", re.IGNORECASE)
_NAMES = {
    **{one.media_type: one.name for one in FORMATS.values() if one.media_type != "application/json"},
    "application/jsonlines": "ndjson",
    "application/jsonl": "ndjson",
    "application/ndjson": "ndjson",
    "application/x-parquet": "parquet",
}


@lru_cache(maxsize=256)
def accepted_format(accept: str, offered: Collection[str]) -> str | None:
    """Return the offered format that Accept likes best; None for json, also if it names none of them."""
    best, quality = None, 0.0
    for part in accept.lower().split(","):
        found = _QUALITY.search(part)
        liked = float(found[1]) if found else 1.0
        kind = part.partition(";")[0].strip()
        name = _NAMES.get(kind)
        if liked > quality and (kind in JSON_TYPES or name in offered):
            best, quality = name, liked
    return best
