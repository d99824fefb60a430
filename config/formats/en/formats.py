"""Times as our own columns have them, but to the second: Django's formats know no milliseconds."""

from __future__ import annotations

DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "Y-m-d H:i:s"
DATE_FORMAT = SHORT_DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
