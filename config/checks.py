"""System checks: settings that cannot work together or are not safe, each with an id and a hint."""

from __future__ import annotations

import shlex
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from config.check_tags import SETTINGS_TAG
from config.networks import is_loopback, is_public
from config.provider_settings import host_settings
from config.supervision import squashed_migrations
from datastore.engines.edition import BROKEN, CONVERTIBLE, Case, TimescaleEdition, timescale_edition
from datastore.reference.provider_registry import UnknownProvider, provider_of, traits_of
from streaming.broker_factory import ADAPTERS


@register(SETTINGS_TAG)
def provider_urls(**kwargs: Any) -> list[CheckMessage]:
    """Check that all addresses of the providers are set or none: real and simulated prices are never mixed."""
    hosts = [(name, host_settings(provider)) for provider in settings.PROVIDERS for name in host_settings(provider)]
    given = {name for name, _ in hosts if getattr(settings, name)}
    # With LIVE a provider may be reached at its own addresses while another's are set.
    missing = [
        name for name, pair in hosts if given and name not in given and not (settings.LIVE and given.isdisjoint(pair))
    ]
    if not missing:
        return []
    others = "reach the providers themselves" if settings.LIVE else "use the built-in simulator"
    return [
        Error(
            f"Only some of the addresses of {', '.join(settings.PROVIDERS)} are set: {', '.join(missing)} is missing.",
            hint=f"Set {', '.join(missing)} as well, or unset the others to {others}.",
            id="candlekeep.E001",
        )
    ]


@register(SETTINGS_TAG)
def markets_delivered(**kwargs: Any) -> list[CheckMessage]:
    """Check that some provider delivers each market of MARKETS."""
    found: list[CheckMessage] = []
    for market in settings.MARKETS:
        venue = market.partition(":")[0]
        try:
            provider_of(venue, settings.PROVIDERS)
        except UnknownProvider as error:
            found.append(
                Error(
                    f"MARKETS names {market}, but {error}.",
                    hint=f"Take {market} out of MARKETS, or add a provider that has {venue} to PROVIDERS.",
                    id="candlekeep.E007",
                )
            )
    return found


@register(SETTINGS_TAG)
def live_copies(**kwargs: Any) -> list[CheckMessage]:
    """Check that each provider lets as many live Producers connect as LIVE_COPIES asks for."""
    providers = [traits_of(name) for name in settings.PROVIDERS]
    few = {one.name: most for one in providers if (most := one.limits.connections_at_once or 99) < settings.LIVE_COPIES}
    return [
        Warning(
            f"LIVE_COPIES is {settings.LIVE_COPIES}, but {name} lets only {most} connect at once: it gets no more.",
            hint=f"Its markets are not carried twice: set LIVE_COPIES={most}, or another provider.",
            id="candlekeep.W011",
        )
        for name, most in few.items()
    ]


@register(SETTINGS_TAG)
def stream_url(**kwargs: Any) -> list[CheckMessage]:
    """Check that STREAM_URL names a kind of stream that we support."""
    if not settings.STREAM_URL or settings.STREAM_URL.startswith(tuple(f"{scheme}://" for scheme in ADAPTERS)):
        return []
    return [
        Error(
            "STREAM_URL names a stream of an unknown kind.",
            hint="Let it begin with redis://, rediss://, unix:// or kafka://, or unset it to use REDIS_URL.",
            id="candlekeep.E002",
        )
    ]


@register(SETTINGS_TAG)
def two_ports(**kwargs: Any) -> list[CheckMessage]:
    """Check that the API and the streams, which two processes serve, have different ports."""
    if settings.PORT != settings.SSE_PORT:
        return []
    return [Error("PORT and SSE_PORT are the same.", hint="Unset SSE_PORT to use PORT + 1.", id="candlekeep.E004")]


@register(SETTINGS_TAG)
def simulator_args(**kwargs: Any) -> list[CheckMessage]:
    """Check that SIMULATOR_ARGS can be split as a shell would, and that the simulator runs."""
    try:
        shlex.split(settings.SIMULATOR_ARGS)
    except ValueError as error:
        hint = "Close every quote: SIMULATOR_ARGS='--replay \"my trades.csv\" --speed 20'."
        return [Error(f"SIMULATOR_ARGS cannot be read: {error}.", hint=hint, id="candlekeep.E003")]
    if settings.SIMULATOR_ARGS and not settings.EMBEDDED_SIMULATOR:
        names = [name for provider in settings.PROVIDERS for name in host_settings(provider)]
        hint = f"Unset SIMULATOR_ARGS, or LIVE and {', '.join(names)}."
        return [Warning("SIMULATOR_ARGS is set, but no simulator runs here.", hint=hint, id="candlekeep.W001")]
    return []


@register(SETTINGS_TAG)
def reachable_by_name(**kwargs: Any) -> list[CheckMessage]:
    """Check that a server that other machines reach knows its host names."""
    if settings.ALLOWED_HOSTS_GIVEN or is_loopback(settings.HOST):
        return []
    return [
        Warning(
            f"HOST={settings.HOST} is open to other machines, but they get 400: ALLOWED_HOSTS is not set.",
            hint="Set PUBLIC_URL=https://candles.example.org, or ALLOWED_HOSTS to all names that clients use.",
            id="candlekeep.W002",
        )
    ]


@register(SETTINGS_TAG)
def open_reading(**kwargs: Any) -> list[CheckMessage]:
    """Check that reading without a key is open to others on purpose, not by oversight."""
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
                "TRUSTED_PROXIES lets others in, and REQUIRE_API_KEY is not set: anyone reaching the proxy may read.",
                hint="Set REQUIRE_API_KEY=1, or REQUIRE_API_KEY=0 to say that reading is open to them.",
                id="candlekeep.W004",
            )
        ]
    return []


@register(SETTINGS_TAG)
def any_page(**kwargs: Any) -> list[CheckMessage]:
    """With CORS open to all and no API key, any web page can read this API from a visitor's network."""
    if not settings.CORS_ALLOW_ALL_ORIGINS or settings.REQUIRE_API_KEY:
        return []
    return [
        Warning(
            "CORS_ORIGINS=* while reading needs no key: any web page opened here may read and have history fetched.",
            hint="List the pages' origins in CORS_ORIGINS, or set REQUIRE_API_KEY=1.",
            id="candlekeep.W005",
        )
    ]


@register(SETTINGS_TAG)
def believable_proxies(**kwargs: Any) -> list[CheckMessage]:
    """Check that not every address is a trusted proxy: a proxy can claim any address for its client."""
    everyone = [str(network) for network in settings.TRUSTED_PROXIES if network.prefixlen == 0]
    if not everyone:
        return []
    return [
        Warning(
            f"TRUSTED_PROXIES holds {', '.join(everyone)}: everyone may claim any address, and no limit binds.",
            hint="List only your proxies, for example TRUSTED_PROXIES=10.0.0.5.",
            id="candlekeep.W006",
        )
    ]


@register(SETTINGS_TAG)
def public_name_without_address(**kwargs: Any) -> list[CheckMessage]:
    """Check that a server with a public name knows the address of it: behind TLS it could not tell otherwise."""
    names = [host for host in settings.ALLOWED_HOSTS if is_public(host)]
    if settings.PUBLIC_URL or not names:
        return []
    return [
        Warning(
            f"ALLOWED_HOSTS names {', '.join(names)}, but PUBLIC_URL is not set: behind TLS, logins are refused and "
            "streams lead to http.",
            hint=f"Set PUBLIC_URL=https://{names[0].lstrip('.')}, the address that clients use.",
            id="candlekeep.W007",
        )
    ]


@register(SETTINGS_TAG)
def public_address_in_the_clear(**kwargs: Any) -> list[CheckMessage]:
    """Check that clients of a public name use https: for the API, and for the streams that it leads to."""
    if settings.PUBLIC_URL and not settings.BEHIND_TLS and is_public(settings.PUBLIC_HOST):
        return [
            Warning(
                f"PUBLIC_URL={settings.PUBLIC_URL} is not https: passwords and keys cross the network readably.",
                hint="Let a proxy speak TLS (deploy/ has examples), and set PUBLIC_URL to its https:// address.",
                id="candlekeep.W008",
            )
        ]
    if settings.BEHIND_TLS and not settings.SSE_URL.startswith("https://"):
        return [
            Error(
                "SSE_URL is http, but PUBLIC_URL is https: browsers refuse such streams to such pages.",
                hint="Unset SSE_URL (streams are then at PUBLIC_URL), or set it to an https:// address.",
                id="candlekeep.E005",
            )
        ]
    return []


@register(SETTINGS_TAG)
def known_tls_proxy(**kwargs: Any) -> list[CheckMessage]:
    """Check that the proxy which speaks TLS is known: it says who asks, and that it was by https."""
    if not settings.BEHIND_TLS or settings.TRUSTED_PROXIES or is_loopback(settings.HOST):
        return []
    return [
        Error(
            f"PUBLIC_URL is https and HOST={settings.HOST}, but TRUSTED_PROXIES is empty: no proxy is believed.",
            hint="Set TRUSTED_PROXIES to the addresses of the proxy, for example TRUSTED_PROXIES=10.0.0.5.",
            id="candlekeep.E006",
        )
    ]


@register(Tags.database)
def migrations(databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """All or none of the migrations that were squashed; asked by `migrate` and `check --database default`."""
    if not databases or not (missing := squashed_migrations.missing_migrations()):
        return []
    return [Error(squashed_migrations.refusal(missing), hint=squashed_migrations.HINT, id="candlekeep.E011")]


@register(Tags.database)
def engine(databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Report what the database server could do for the trades; runs with `migrate` and `check --database default`."""
    if not databases:
        return []
    found = timescale_edition()
    return [] if found.case in CONVERTIBLE and not conversion_was_skipped(connection) else engine_messages(found)


def engine_messages(found: TimescaleEdition) -> list[CheckMessage]:
    """Return what can be done about a database that is broken or could do more."""
    if found.hint is None:
        return []
    if found.case in BROKEN:
        return [Error(f"The database cannot be used: {found.sentence}.", hint=found.hint, id="candlekeep.E010")]
    if found.case is Case.READY:
        return [Warning(f"The database is {found.sentence}.", hint=found.hint, id="candlekeep.W010")]
    return [Info(f"The database is {found.sentence}.", hint=found.hint, id="candlekeep.I010")]


def conversion_was_skipped(asked: BaseDatabaseWrapper) -> bool:
    """Return whether the migration that converts trades to a hypertable was applied when the server could not do it."""
    applied = MigrationRecorder(asked).applied_migrations()
    return any(app == "datastore" and name.endswith("_timescale") for app, name in applied)
