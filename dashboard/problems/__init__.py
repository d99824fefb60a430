"""What is wrong now, in words, each with what to do about it.

Checks read rows and servers and change nothing; together they take a fixed number of statements. The newest answer
serves all who ask within a second.
"""

from __future__ import annotations

from dashboard.problems.checks import CHECKS, Looked, looked, open_problems, summary
from dashboard.problems.level import Level, Problem

__all__ = ["CHECKS", "Level", "Looked", "Problem", "looked", "open_problems", "summary"]
