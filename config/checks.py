"""System checks: combinations of settings that cannot work, each with an id and a hint."""

from __future__ import annotations

import shlex
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from config.networks import is_loopback
from datastore.engines.edition import BROKEN, CONVERTIBLE, Case, TimescaleEdition, timescale_edition
from streaming.broker_factory import ADAPTERS


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
    if not settings.STREAM_URL or settings.STREAM_URL.startswith(tuple(f"{scheme}://" for scheme in ADAPTERS)):
        return []
    return [
        Error(
            "STREAM_URL names a stream of an unknown kind.",
            hint="Let it begin with redis://, rediss://, unix:// or kafka://, or unset it to use REDIS_URL.",
            id="candlekeep.E002",
        )
    ]


@register()
def two_ports(**kwargs: Any) -> list[CheckMessage]:
    """The API and the streams are served by two processes."""
    if settings.PORT != settings.SSE_PORT:
        return []
    return [Error("PORT and SSE_PORT are the same.", hint="Unset SSE_PORT to use PORT + 1.", id="candlekeep.E004")]


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


@register()
def open_reading(**kwargs: Any) -> list[CheckMessage]:
    """Data that others reach without a key is open on purpose, not by oversight."""
    if settings.REQUIRE_API_KEY:
        return []
    if not is_loopback(settings.HOST):
        return [
            Warning(
                f"HOST={settings.HOST} is open to other machines, and REQUIRE_API_KEY is off: all of them may read.",
                hint="Unset REQUIRE_API_KEY (it is then on) and make keys with `manage.py create_api_key NAME`.",
                id="candlekeep.W003",
            )
        ]
    if settings.TRUSTED_PROXIES and not settings.REQUIRE_API_KEY_GIVEN:
        return [
            Warning(
                "TRUSTED_PROXIES lets others in, and REQUIRE_API_KEY is not set: whoever reaches the proxy may read.",
                hint="Set REQUIRE_API_KEY=1, or REQUIRE_API_KEY=0 to say that reading is open to them.",
                id="candlekeep.W004",
            )
        ]
    return []


@register()
def any_page(**kwargs: Any) -> list[CheckMessage]:
    """A page of a stranger, open in somebody's browser, asks in the name of that machine's address."""
    if not settings.CORS_ALLOW_ALL_ORIGINS or settings.REQUIRE_API_KEY:
        return []
    return [
        Warning(
            "CORS_ORIGINS=* while reading needs no key: any web page opened here may read and have history fetched.",
            hint="List the pages' origins in CORS_ORIGINS, or set REQUIRE_API_KEY=1.",
            id="candlekeep.W005",
        )
    ]


@register()
def believable_proxies(**kwargs: Any) -> list[CheckMessage]:
    """Whoever is believed to be a proxy may say of every request that it came from somebody else."""
    everybody = [str(network) for network in settings.TRUSTED_PROXIES if network.prefixlen == 0]
    if not everybody:
        return []
    return [
        Warning(
            f"TRUSTED_PROXIES holds {', '.join(everybody)}: everybody may claim any address, and no limit binds.",
            hint="List only your proxies, for example TRUSTED_PROXIES=10.0.0.5.",
            id="candlekeep.W006",
        )
    ]


@register(Tags.database)
def engine(databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """What the server could do for the trades and does not; asked by `migrate` and `check --database default`."""
    if not databases:
        return []
    found = timescale_edition()
    return [] if found.case in CONVERTIBLE and not conversion_was_skipped(connection) else engine_messages(found)


def engine_messages(found: TimescaleEdition) -> list[CheckMessage]:
    """Tell what can be done about a database that is not all that it could be."""
    if found.hint is None:
        return []
    if found.case in BROKEN:
        return [Error(f"The database cannot be used: {found.sentence}.", hint=found.hint, id="candlekeep.E010")]
    if found.case is Case.READY:
        return [Warning(f"The database is {found.sentence}.", hint=found.hint, id="candlekeep.W010")]
    return [Info(f"The database is {found.sentence}.", hint=found.hint, id="candlekeep.I010")]


def conversion_was_skipped(asked: BaseDatabaseWrapper) -> bool:
    """Tell whether the migration that makes trades a hypertable has been here already, when the server could not."""
    applied = MigrationRecorder(asked).applied_migrations()
    return any(app == "datastore" and name.endswith("_timescale") for app, name in applied)
