"""What deploy/ holds for Prometheus and Grafana, as tests look at it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

DEPLOY = Path(settings.BASE_DIR) / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
# What Grafana puts into an expression before it asks.
VARIABLES = {"$__rate_interval": "1m", '"$market"': '".*"'}


def panels() -> list[dict[str, Any]]:
    """Return the panels of all dashboards."""
    return [panel for path in DASHBOARDS for panel in json.loads(path.read_text())["panels"]]


def expressions() -> list[str]:
    """Return every expression of PromQL in dashboards and alerts, with variables replaced."""
    targets = [target for panel in panels() for target in panel.get("targets", ())]
    found = [target["expr"] for target in targets if "expr" in target] + [rule["expr"] for rule in rules()]
    for variable, value in VARIABLES.items():
        found = [expr.replace(variable, value) for expr in found]
    return found


def rules() -> list[dict[str, Any]]:
    """Return the alerts."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def program(name: str) -> str:
    """Return where prometheus or promtool is; without it skip, and fail where CI is set."""
    path = shutil.which(name)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {name}: apt install prometheus")
    return str(path)
