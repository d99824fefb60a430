"""Which address a request comes from, also behind trusted proxies."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPV6_PREFIX = 64  # bits: the rest of an IPv6 address is the client's own to choose


def client_address(request: HttpRequest) -> str:
    """Return the client's address; of IPv6 its /64, since one client may use any address in it."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return _client(request.META.get("REMOTE_ADDR", ""), forwarded, tuple(settings.TRUSTED_PROXIES))


def comes_from_proxy(request: HttpRequest) -> bool:
    """Return whether a proxy may have passed the request on: one of TRUSTED_PROXIES, or a program of this machine."""
    direct = _parsed(request.META.get("REMOTE_ADDR", ""))
    return direct is not None and (direct.is_loopback or any(direct in network for network in settings.TRUSTED_PROXIES))


@lru_cache(maxsize=4096)
def _client(direct: str, forwarded: str, proxies: tuple[Network, ...]) -> str:
    """Go back from proxy to proxy while each is trusted: what precedes an untrusted one may be made up."""
    client = _parsed(direct)
    for hop in reversed(forwarded.split(",") if forwarded else []):
        before = _parsed(hop)
        if client is None or before is None or not any(client in network for network in proxies):
            break
        client = before
    if client is None:
        return direct
    return str(client if client.version == 4 else ipaddress.ip_network((client, IPV6_PREFIX), strict=False))


def _parsed(text: str) -> Address | None:
    """Return the address in a text that may hold a port, None if there is none; of an IPv4-mapped one the IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (address.version == 6 and address.ipv4_mapped) or address
