"""What this database is and what its server supports: plain PostgreSQL, or TimescaleDB's community edition.

Found out from settings and the catalog, never by trying: CREATE EXTENSION of a library that was not loaded at the
server's start ends the connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from datastore.db.queries import fetch_all
from datastore.db.sql_files import statement

OLDEST_SUPPORTED = (2, 28)  # the oldest version that was tested
COMMUNITY = "timescale"
GUIDE = "See docs/engines.md."


class Case(Enum):
    """What a database and its server are."""

    PLAIN = "plain PostgreSQL"
    NOT_LOADED = "plain PostgreSQL: TimescaleDB is installed on this server, but not loaded"
    APACHE = "plain PostgreSQL: this server's TimescaleDB is the Apache edition, without continuous aggregates"
    TOO_OLD = "plain PostgreSQL: this server's TimescaleDB is older than 2.28"
    READY = "plain PostgreSQL, though TimescaleDB is loaded"
    # Only the library knows its edition, and sessions do not load it before the extension exists in the database.
    EDITION_UNKNOWN = "plain PostgreSQL, though TimescaleDB is loaded, of an edition that only using it will show"
    CONVERTED = "TimescaleDB: hypertable, columnstore and continuous aggregates"
    # Both were tested: the first refuses every trade; the second stores trades where no query finds them.
    LIMITED = "the trades are a TimescaleDB hypertable, but this server is of the Apache edition: it refuses trades"
    UNLOADED = "the trades are a TimescaleDB hypertable, but this server has not loaded it: trades would be lost"


HINTS = {
    Case.NOT_LOADED: "To use it, add timescaledb to shared_preload_libraries, restart the server, then run "
    "`manage.py timescale`.",
    Case.APACHE: "No action is needed. To use it, run the community edition with timescaledb.license = timescale, "
    "then `manage.py timescale`.",
    Case.TOO_OLD: "To use it, install 2.28 or newer, then run `manage.py timescale`.",
    Case.READY: "To use it, run `manage.py timescale`: it converts the trades to a hypertable, in place.",
    Case.EDITION_UNKNOWN: "If it is the community edition, run `manage.py timescale` to use it: it converts the "
    "trades to a hypertable, in place; with the Apache edition it changes nothing and reports that.",
    Case.LIMITED: "Set timescaledb.license = timescale in the server's configuration and restart it.",
    Case.UNLOADED: "Add timescaledb to shared_preload_libraries and restart the server.",
}
BROKEN = (Case.LIMITED, Case.UNLOADED)
CONVERTIBLE = (Case.READY, Case.EDITION_UNKNOWN)


@dataclass(frozen=True, slots=True)
class TimescaleEdition:
    """What a database and its server have; None: unknown or absent."""

    converted: bool  # to a hypertable with aggregates
    loaded: bool
    license: str | None
    version: str | None  # of the extension, else of what the server has installed

    @property
    def case(self) -> Case:
        """Return what that means."""
        if self.converted:
            return self._obstacle(Case.UNLOADED, Case.LIMITED) or Case.CONVERTED
        if self.version is None:
            return Case.PLAIN
        if obstacle := self._obstacle(Case.NOT_LOADED, Case.APACHE):
            return obstacle
        numbers = tuple(map(int, re.findall(r"\d+", self.version)[:2]))
        if numbers < OLDEST_SUPPORTED:
            return Case.TOO_OLD
        return Case.READY if self.license else Case.EDITION_UNKNOWN

    def _obstacle(self, not_loaded: Case, apache: Case) -> Case | None:
        if not self.loaded:
            return not_loaded
        return apache if self.license not in (None, "", COMMUNITY) else None

    @property
    def sentence(self) -> str:
        """Return the case as a sentence, with the version if there is one."""
        return self.case.value.replace("TimescaleDB", f"TimescaleDB {self.version}" if self.version else "TimescaleDB")

    @property
    def hint(self) -> str | None:
        """Return what can be done about it, None if nothing needs to be."""
        hint = HINTS.get(self.case)
        return hint and f"{hint} {GUIDE}"


def timescale_edition() -> TimescaleEdition:
    """Return what this database and its server have."""
    ((converted, loaded, license, version),) = fetch_all(statement("rollups", "standing"))
    return TimescaleEdition(converted, loaded, license, version)
