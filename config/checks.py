"""System checks: combinations of settings that cannot work, each with an id and a hint."""

from __future__ import annotations

import ipaddress
import shlex
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

STREAM_SCHEMES = ("redis://", "rediss://", "unix://", "memory://")


@register()
def provider_urls(**kwargs: Any) -> list[CheckMessage]:
    """Both addresses of a provider or neither: history of one must never meet live trades of another."""
    rest, websocket = settings.CRYPTOCOMPARE_REST_URL, settings.CRYPTOCOMPARE_WS_URL
    if bool(rest) == bool(websocket):
        return []
    missing = "CRYPTOCOMPARE_WS_URL" if rest else "CRYPTOCOMPARE_REST_URL"
    return [
        Error(
            f"Only one of the provider's two addresses is set: {missing} is missing.",
            hint=f"Set {missing} as well, or unset both to use the built-in simulator.",
            id="candlekeep.E001",
        )
    ]


@register()
def stream_url(**kwargs: Any) -> list[CheckMessage]:
    """A stream we can speak to."""
    if not settings.STREAM_URL or settings.STREAM_URL.startswith(STREAM_SCHEMES):
        return []
    return [
        Error(
            "STREAM_URL names a stream of an unknown kind.",
            hint="Let it begin with redis://, rediss:// or unix://, or unset it to use REDIS_URL.",
            id="candlekeep.E002",
        )
    ]


@register()
def simulator_args(**kwargs: Any) -> list[CheckMessage]:
    """Arguments that a shell could read, for a simulator that runs."""
    try:
        shlex.split(settings.SIMULATOR_ARGS)
    except ValueError as error:
        hint = "Close every quote: SIMULATOR_ARGS='--replay \"my trades.csv\" --speed 20'."
        return [Error(f"SIMULATOR_ARGS cannot be read: {error}.", hint=hint, id="candlekeep.E003")]
    if settings.SIMULATOR_ARGS and not settings.EMBEDDED_SIMULATOR:
        hint = "Unset SIMULATOR_ARGS, or both CRYPTOCOMPARE_REST_URL and CRYPTOCOMPARE_WS_URL."
        return [Warning("SIMULATOR_ARGS is set, but a provider's addresses are too.", hint=hint, id="candlekeep.W001")]
    return []


@register()
def reachable_by_name(**kwargs: Any) -> list[CheckMessage]:
    """Whoever listens beyond this machine must say under which names."""
    if settings.ALLOWED_HOSTS_GIVEN or is_loopback(settings.HOST):
        return []
    return [
        Warning(
            f"HOST={settings.HOST} is open to other machines, but they get 400: ALLOWED_HOSTS is not set.",
            hint="Set ALLOWED_HOSTS to the names clients use, for example ALLOWED_HOSTS=candles.example.org,10.0.0.5.",
            id="candlekeep.W002",
        )
    ]


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches a server listening on host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
