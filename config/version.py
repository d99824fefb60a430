"""The version, named only here: settings, `manage.py --version` and pyproject.toml take it from this module."""

from __future__ import annotations

VERSION = "0.1.0"
