"""The version: named in one place, shown where people look for it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from config.command_line import run
from config.version import VERSION
from datastore.api.openapi.document import document

BASE = Path(settings.BASE_DIR)


def test_the_version_has_three_numbers() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


def test_pyproject_takes_the_version_from_where_it_is_named() -> None:
    project: dict[str, Any] = tomllib.loads((BASE / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "config.version.VERSION"}


def test_compose_names_no_version_of_its_own() -> None:
    assert re.findall(r"candlekeep:\d", (BASE / "docker-compose.yml").read_text()) == []


@pytest.mark.parametrize("argv", [["--version"], ["version"], ["up", "--version"], ["run", "web", "--version"]])
def test_every_command_names_our_version_not_djangos(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["manage.py", *argv]) == 0
    assert capsys.readouterr().out.startswith(f"Candlekeep {VERSION} (Django ")


@pytest.mark.slow
def test_the_version_needs_no_settings_that_work(tmp_path: Path) -> None:
    command = [sys.executable, str(BASE / "manage.py"), "--version"]
    done = subprocess.run(command, cwd=tmp_path, env={"PORT": "nonsense"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Candlekeep {VERSION} ")


@pytest.mark.django_db
def test_the_front_page_shows_the_version(client: Client) -> None:
    assert f"Candlekeep {VERSION}" in client.get("/").content.decode()


def test_the_api_document_names_the_version() -> None:
    assert document()["info"]["version"] == VERSION
