"""Parse settings that list networks and web origins."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from django.core.exceptions import ImproperlyConfigured

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ANY = "*"
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def networks(name: str, items: Iterable[str]) -> list[Network]:
    """Return the networks that the setting `name` lists, an address as a network of one; raise ImproperlyConfigured."""
    try:
        return [ipaddress.ip_network(item.strip(), strict=False) for item in items if item.strip()]
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name}: {exc}. Write {name}=10.0.0.5,192.168.0.0/24.") from None


def origins(name: str, items: Iterable[str]) -> list[str]:
    """Return the web origins that the setting `name` lists, or only `*`; raise ImproperlyConfigured."""
    found = list(dict.fromkeys(item.strip() for item in items if item.strip()))
    if ANY in found and found != [ANY]:
        raise ImproperlyConfigured(f"{name} lists {ANY} beside others. Set {name}={ANY} for all, or leave it out.")
    for origin in found:
        if origin != ANY and not _ORIGIN.fullmatch(origin):
            fix = f"Write {name}=https://charts.example.org,http://localhost:3000, without a path, or {name}={ANY}."
            raise ImproperlyConfigured(f"{name} names {origin!r}, which is not an origin. {fix}")
    return found
