"""What this database is and what its server could make of it: plain PostgreSQL, or TimescaleDB's community edition.

Asked by settings and the catalog, never by trying: CREATE EXTENSION where it was not loaded ends the connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement

LEAST = (2, 28)  # the oldest that was tried
COMMUNITY = "timescale"
GUIDE = "See docs/engines.md."


class Case(Enum):
    """What there is to know of a database and its server."""

    PLAIN = "plain PostgreSQL"
    NOT_LOADED = "plain PostgreSQL: TimescaleDB is installed on this server, but not loaded"
    APACHE = "plain PostgreSQL: this server's TimescaleDB is the Apache edition, without continuous aggregates"
    TOO_OLD = "plain PostgreSQL: this server's TimescaleDB is older than 2.28"
    READY = "plain PostgreSQL, though TimescaleDB is loaded"
    # The edition is the library's to tell, and before the extension is made in a database its sessions do not load it.
    PERHAPS = "plain PostgreSQL, though TimescaleDB is loaded, of an edition that only using it will show"
    CONVERTED = "TimescaleDB: hypertable, columnstore and continuous aggregates"
    # What then happens was tried: the first refuses every trade; the second stores them where no query finds them.
    LIMITED = "the trades are a TimescaleDB hypertable, but this server is of the Apache edition: it refuses trades"
    UNLOADED = "the trades are a TimescaleDB hypertable, but this server has not loaded it: trades would be lost"


HINTS = {
    Case.NOT_LOADED: "To use it, add timescaledb to shared_preload_libraries, restart the server, then run "
    "`manage.py timescale`.",
    Case.APACHE: "Nothing need be done. To use it, run the community edition with timescaledb.license = timescale, "
    "then `manage.py timescale`.",
    Case.TOO_OLD: "To use it, install 2.28 or newer, then run `manage.py timescale`.",
    Case.READY: "To use it, run `manage.py timescale`: it turns the trades into a hypertable, in place.",
    Case.PERHAPS: "To use it if it is the community edition, run `manage.py timescale`: it turns the trades into a "
    "hypertable, in place; with the Apache edition it changes nothing, and says so.",
    Case.LIMITED: "Set timescaledb.license = timescale in the server's configuration and restart it.",
    Case.UNLOADED: "Add timescaledb to shared_preload_libraries and restart the server.",
}
BROKEN = (Case.LIMITED, Case.UNLOADED)
TURNABLE = (Case.READY, Case.PERHAPS)


@dataclass(frozen=True, slots=True)
class TimescaleEdition:
    """What was found; None: not known, or not there."""

    turned: bool  # into a hypertable with aggregates
    loaded: bool
    license: str | None
    version: str | None  # of the extension, else of what the server has installed

    @property
    def case(self) -> Case:
        """Return what follows from it."""
        if self.turned:
            return self._fit(Case.UNLOADED, Case.LIMITED) or Case.CONVERTED
        if self.version is None:
            return Case.PLAIN
        if unfit := self._fit(Case.NOT_LOADED, Case.APACHE):
            return unfit
        numbers = tuple(map(int, re.findall(r"\d+", self.version)[:2]))
        if numbers < LEAST:
            return Case.TOO_OLD
        return Case.READY if self.license else Case.PERHAPS

    def _fit(self, not_loaded: Case, apache: Case) -> Case | None:
        if not self.loaded:
            return not_loaded
        return apache if self.license not in (None, "", COMMUNITY) else None

    @property
    def told(self) -> str:
        """Return it as a sentence, with the version where there is one."""
        return self.case.value.replace("TimescaleDB", f"TimescaleDB {self.version}" if self.version else "TimescaleDB")

    @property
    def hint(self) -> str | None:
        """Return what can be done about it."""
        hint = HINTS.get(self.case)
        return hint and f"{hint} {GUIDE}"


def timescale_edition() -> TimescaleEdition:
    """Look at this database and its server."""
    ((turned, loaded, license, version),) = fetch_all(statement("rollups", "standing"))
    return TimescaleEdition(turned, loaded, license, version)
