"""Addresses of machines and of web pages, as settings name them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from django.core.exceptions import ImproperlyConfigured

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ANY = "*"
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches a server listening on host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def networks(name: str, items: Iterable[str]) -> list[Network]:
    """Return the networks that the setting lists, a single address being one; a bad one stops with its name."""
    try:
        return [ipaddress.ip_network(item.strip(), strict=False) for item in items if item.strip()]
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name}: {exc}. Write {name}=10.0.0.5,192.168.0.0/24.") from None


def origins(name: str, items: Iterable[str]) -> list[str]:
    """Return the web origins that the setting lists, or the star alone; a bad one stops with its name."""
    found = list(dict.fromkeys(item.strip() for item in items if item.strip()))
    if ANY in found and found != [ANY]:
        raise ImproperlyConfigured(f"{name} lists {ANY} beside others. Set {name}={ANY} for all, or leave it out.")
    for origin in found:
        if origin != ANY and not _ORIGIN.fullmatch(origin):
            fix = f"Write {name}=https://charts.example.org,http://localhost:3000, without a path, or {name}={ANY}."
            raise ImproperlyConfigured(f"{name} names {origin!r}, which is no origin. {fix}")
    return found
