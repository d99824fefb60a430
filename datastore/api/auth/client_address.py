"""From which address a request comes, also behind proxies that are believed."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPV6_PREFIX = 64  # bits of an IPv6 address that one customer of a network has: all the rest is his to choose


def address_of(request: HttpRequest) -> str:
    """Return the asker's address; of IPv6 its /64, else nobody could be limited who has one."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return _asker(request.META.get("REMOTE_ADDR", ""), forwarded, tuple(settings.TRUSTED_PROXIES))


@lru_cache(maxsize=4096)
def _asker(direct: str, forwarded: str, proxies: tuple[Network, ...]) -> str:
    """Go back from proxy to proxy as long as each is believed: what stands before those, anybody may have written."""
    asker = _parsed(direct)
    for hop in reversed(forwarded.split(",") if forwarded else []):
        before = _parsed(hop)
        if asker is None or before is None or not any(asker in network for network in proxies):
            break
        asker = before
    return direct if asker is None else _limited(asker)


def _limited(address: Address) -> str:
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))


def _parsed(text: str) -> Address | None:
    """Return the address in a text that may hold a port; an IPv4 address in IPv6's dress is one of IPv4."""
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
