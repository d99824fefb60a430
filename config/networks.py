"""Parse settings that name networks, hosts and web origins."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ANY = "*"
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
# What nobody on the internet can resolve: RFC 6762, RFC 8375, and what home routers use.
_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def host_of(address: str) -> str:
    """Return the host of a web origin, as ALLOWED_HOSTS spells it: without port, an IPv6 address in brackets."""
    return re.sub(r":[0-9]+$", "", urlsplit(address).netloc)


def is_public(host: str) -> bool:
    """Return whether a host name or address may belong to the internet: not a private address, not a local name."""
    name = host.strip(".").lower()
    try:
        return ipaddress.ip_address(name.strip("[]")).is_global
    except ValueError:
        return "." in name and not name.endswith(_PRIVATE_ENDINGS)


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


def origin(name: str, value: str) -> str:
    """Return the one web origin that the setting `name` holds, as browsers spell it, or ""; raise ImproperlyConfigured.

    Errors do not repeat the value, because it may hold a password.
    """
    text = value.strip().lower().removesuffix("/")
    if not text:
        return ""
    fix = f"Write {name}=https://candles.example.org, or with a port {name}=https://candles.example.org:8443."
    if not text.startswith(("http://", "https://")):
        raise ImproperlyConfigured(f"{name} does not begin with https:// or http://. {fix}")
    parts = urlsplit(text)
    if "*" in text:
        raise ImproperlyConfigured(f"{name} holds a wildcard, but names the one address that clients use. {fix}")
    if parts.path or parts.query or parts.fragment:
        raise ImproperlyConfigured(f"{name} goes on behind the host: it can have no path. {fix}")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or not _ORIGIN.fullmatch(text):
        raise ImproperlyConfigured(f"{name} is no scheme, host and port between 1 and 65535. {fix}")
    # Browsers leave the usual port out of the Origin that they send.
    return text.removesuffix(":443" if parts.scheme == "https" else ":80")
