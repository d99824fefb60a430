"""What the database must hold before any process can work: schema, markets, provider, an admin user."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from config.secret_files import create_home, replace_text
from config.supervision import squashed_migrations
from config.supervision.errors import StartError
from datastore.wording import counted

if TYPE_CHECKING:
    from config.supervision.provider import Contact
    from datastore.engines.edition import TimescaleEdition

PASSWORD_FILE = Path("run") / "admin.password"


def set_up_schema(*, on_terminal: bool) -> Iterator[str]:
    """Migrate and make the admin user; yield what to print of each. Raise StartError, as each of these does."""
    yield f"schema up to date: {migrate()}"
    if line := make_admin(settings.ADMIN_PASSWORD, settings.CANDLEKEEP_HOME, on_terminal):
        yield line


def set_up_contents(found: Sequence[Contact]) -> Iterator[str]:
    """Remember the providers, follow MARKETS and ask for their newest candles; yield what to print of each."""
    yield from remember_providers(found)
    markets = settings.MARKETS
    seed_markets(markets)
    yield f"{counted(len(markets), 'market')}: {', '.join(markets)}"
    yield f"{counted(request_newest_candles(markets), 'span')} of history asked for"


def migrate() -> str:
    """Bring the schema up to date; return which engine the database is and, as a hint, which it could be.

    Raise StartError if the trades are a hypertable that the server cannot serve, or if a development version made the
    database and did not migrate it to the end.
    """
    from datastore.engines.edition import timescale_edition

    refuse_broken(timescale_edition())
    if missing := squashed_migrations.missing_migrations():
        raise StartError(f"{squashed_migrations.refusal(missing)} {squashed_migrations.HINT}")
    call_command("migrate", interactive=False, verbosity=0)
    found = timescale_edition()
    return f"{found.sentence}. {found.hint}" if found.hint else found.sentence


def refuse_broken(found: TimescaleEdition) -> None:
    """Raise StartError if this database would refuse or lose trades."""
    from datastore.engines.edition import BROKEN

    if found.case in BROKEN:
        raise StartError(f"The database cannot be used: {found.sentence}. {found.hint}")


def seed_markets(symbols: Sequence[str]) -> None:
    """Create and follow the always-on markets; raise StartError if PROVIDERS lacks the one that has a market's data."""
    from datastore.models import Market
    from datastore.reference.markets import ensure_markets

    foreign = Market.objects.filter(symbol__in=symbols).exclude(provider__in=settings.PROVIDERS).first()
    if foreign is not None:
        raise StartError(
            f"The data of {foreign.symbol} here is {foreign.provider}'s, for good, and PROVIDERS lacks that one. Add "
            f"{foreign.provider} to PROVIDERS, take {foreign.symbol} out of MARKETS, or set CANDLEKEEP_HOME to another "
            "folder (or DATABASE_URL to another database)."
        )
    ensure_markets(symbols)


def request_newest_candles(symbols: Sequence[str]) -> int:
    """Request what is missing of these markets' newest candles; return how many requests are active for it."""
    from datastore.backfill.newest import request_newest
    from datastore.reference.markets import ensure_markets

    return len(request_newest(ensure_markets(symbols)))


def are_known(found: Sequence[Contact]) -> bool:
    """Return whether this database holds data of any of these providers."""
    from datastore.reference.provider import current_provider

    return bool(current_provider([contact.provider for contact in found])[0])


def remember_providers(found: Sequence[Contact]) -> list[str]:
    """Bind this database to its providers and return what to print of each; raise StartError if it has others' data."""
    from datastore.reference.provider import OtherProvider, current_provider, remember_provider
    from datastore.reference.provider_registry import traits_of

    lines = []
    for contact in found:
        identity = contact.identity
        if not contact.answered and current_provider([contact.provider])[1]:  # a simulator has no name of its host's
            lines.append(f"provider {contact.provider}: {contact.trouble}")
            continue
        try:
            remember_provider(contact.provider, identity.name, identity.simulated)
        except OtherProvider as error:
            raise StartError(
                f"This database holds data of {error.stored!r}, but the provider is {error.found!r}; prices of two are "
                "never mixed. Set CANDLEKEEP_HOME to another folder (or DATABASE_URL to another database), or go back "
                f"to {error.stored!r}."
            ) from None
        name = identity.name if len(found) == 1 else f"{contact.provider} at {identity.name}"
        lines.append(f"provider {name}{', SIMULATED DATA' if identity.simulated else ''}")
        if contact.trouble:
            lines.append(f"  {contact.trouble}")
        elif not identity.simulated:
            lines.append(f"  {traits_of(contact.provider).terms}")
    return lines


def make_admin(given: str, home: Path, on_terminal: bool) -> str | None:
    """Create the user `admin` if there is no superuser; return the line to print about it, else None.

    A password that was given is in no line, and one that is invented only in that of a terminal: other output is kept,
    and read by many. There it is in a file for its owner. Raise StartError if that cannot be written.
    """
    from django.contrib.auth.models import User

    if User.objects.filter(is_superuser=True).exists():
        return None
    password, where = given, "with the password that ADMIN_PASSWORD holds"
    if not given:
        password = secrets.token_urlsafe(12)
        where = f"password {password} (shown only this once)"
        if not on_terminal:
            path = home / PASSWORD_FILE
            try:
                create_home(home)
                replace_text(path, f"{password}\n")
            except OSError as error:
                raise StartError(
                    f"The password of admin cannot be saved in {path}: {error.strerror}. Set ADMIN_PASSWORD, or "
                    "CANDLEKEEP_HOME to a folder that can be written."
                ) from None
            where = f"password in {path}; delete that file once you know it"
    User.objects.create_superuser("admin", password=password)
    return f"admin user made: admin, {where}"


def disconnect() -> None:
    """Close our own connection, so that the database can shut down without cutting it off."""
    connections.close_all()
