"""What is wrong now, in words, each with what to do about it.

Checks read rows and servers and change nothing; together they take a fixed number of statements. The newest answer
serves all who ask within a second.
"""

from __future__ import annotations

from dashboard.alerts.checks import CHECKS, Looked, looked, open_alerts, summary
from dashboard.alerts.level import Alert, Level

__all__ = ["CHECKS", "Alert", "Level", "Looked", "looked", "open_alerts", "summary"]
