"""What goes with a release: the files that name versions agree with what is installed and what CI runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.contrib.staticfiles.finders import AppDirectoriesFinder

from dashboard.wheel_files import FILES, PREFIX

BASE = Path(settings.BASE_DIR)
THIRD_PARTY = (BASE / "THIRD_PARTY.md").read_text()
NAMED = dict(re.findall(r"^## (\S+) (\S+) \(", THIRD_PARTY, re.MULTILINE))


def test_the_third_party_list_names_the_pinned_versions() -> None:
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)", (BASE / "requirements.txt").read_text(), re.MULTILINE))
    assert {name: pinned[name] for name in NAMED} == NAMED


def test_every_app_whose_static_files_are_served_is_in_the_third_party_list() -> None:
    served = {path.partition("/")[0] for path, _ in AppDirectoriesFinder().list([])}
    foreign = {folder for folder in served if not (BASE / folder).exists()}
    assert foreign == {"admin", "rest_framework", "drf_spectacular_sidecar", "django_htmx"}
    assert all(f"| `{folder}/" in THIRD_PARTY for folder in foreign)
    assert all(f"| `{PREFIX}/{name}`" in THIRD_PARTY and package in NAMED for name, (package, _) in FILES.items())


def test_ci_runs_on_every_python_that_is_supported() -> None:
    workflow: dict[str, Any] = yaml.safe_load((BASE / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["test"]
    looked_for = re.findall(r"python(3\.\d+)", (BASE / "Makefile").read_text().partition("; do")[0])
    assert job["strategy"]["matrix"]["python"] == sorted(looked_for)
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_the_hooks_before_a_commit_run_what_make_check_runs() -> None:
    hooks = yaml.safe_load((BASE / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    tools = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks[0]["hooks"]}
    make = (BASE / "Makefile").read_text()
    assert tools == {"ruff", "mypy", "lint-imports"}
    assert all(f"$(BIN)/{tool}" in make for tool in tools)
