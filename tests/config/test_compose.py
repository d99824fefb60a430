"""docker-compose.yml against what it starts: it is read here, no Docker is needed."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from config.provider_settings import DEFAULT_MARKETS, host_settings
from config.supervision import processes

BASE = Path(settings.BASE_DIR)
COMPOSE: dict[str, Any] = yaml.safe_load((BASE / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image", "").startswith("candlekeep:")}


def test_every_process_that_up_runs_is_a_service_and_no_other_is() -> None:
    run = {service["command"][1] for service in OURS.values() if service["command"][0] == "run"}
    assert run == set(processes.service_programs({}))


def test_every_variable_of_ours_is_a_setting() -> None:
    read = (BASE / "config" / "settings.py").read_text()
    addresses = {name for provider in DEFAULT_MARKETS for name in host_settings(provider)}
    for name in COMPOSE["x-candlekeep"]["environment"]:
        assert f'"{name}"' in read or name in addresses, name


def test_images_are_pinned_to_a_version() -> None:
    images = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    images += re.findall(r"^FROM (\S+)", (BASE / "Dockerfile").read_text(), re.MULTILINE)
    for image in images:
        assert re.search(r":v?\d+\.\d+\.\d+", image), image


@pytest.mark.parametrize("name", ["SECRET_KEY", "ADMIN_PASSWORD", "POSTGRES_PASSWORD", "VALKEY_PASSWORD"])
def test_a_secret_has_no_default_and_stands_in_the_example(name: str) -> None:
    text = (BASE / "docker-compose.yml").read_text()
    uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", text)
    assert uses and all(use.startswith(":?") for use in uses)
    assert re.search(rf"^{name}=$", (BASE / "deploy" / "env.example").read_text(), re.MULTILINE)


def test_only_the_proxy_is_published_and_on_loopback_unless_told_otherwise() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"proxy": ["${PUBLISH:-127.0.0.1:8000}:8000"]}


def test_the_address_of_clients_is_set_in_one_place_and_tls_is_one_file_more() -> None:
    uses = re.findall(r"\$\{(PUBLIC_\w+)", (BASE / "docker-compose.yml").read_text())
    assert set(uses) == {"PUBLIC_URL"}
    added: dict[str, Any] = yaml.safe_load((BASE / "deploy" / "compose.tls.yml").read_text())
    assert set(added["services"]) == {"proxy"} and added["services"]["proxy"]["ports"][0] == "80:80"
    assert added["services"]["proxy"]["environment"]["PUBLIC_SITE"].startswith("${PUBLIC_URL},")


def test_only_our_own_networks_may_say_who_asks_and_by_which_scheme() -> None:
    inside, outside = (COMPOSE["networks"][name]["ipam"]["config"][0]["subnet"] for name in ("inside", "outside"))
    gateways = [str(next(ip_network(subnet).hosts())) for subnet in (inside, outside)]
    assert COMPOSE["x-candlekeep"]["environment"]["TRUSTED_PROXIES"] == f"{inside},{gateways[1]}"
    assert SERVICES["proxy"]["environment"]["OUTER_PROXIES"].split() == gateways


def test_the_image_runs_as_nobody_special_and_holds_what_the_processes_import() -> None:
    dockerfile = (BASE / "Dockerfile").read_text()
    assert re.search(r"^USER (?!root)\w+$", dockerfile, re.MULTILINE)
    kept = {line[1:] for line in (BASE / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    packages = {path.parent.name for path in BASE.glob("*/__init__.py")} - {"tests", "benchmarks", "tools"}
    assert packages | {"manage.py", "requirements.txt", "static", "templates"} <= kept
