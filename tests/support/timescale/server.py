"""A TimescaleDB server to try ourselves on: the one that TIMESCALE_URL names, in databases of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.support.database_server import DatabaseServer

URL = os.environ.get("TIMESCALE_URL", "")
On = Callable[[str], AbstractContextManager[None]]
HOW = "set TIMESCALE_URL to a PostgreSQL that has TimescaleDB's community edition loaded"
SERVER = DatabaseServer(URL)

admin, url_of, database = SERVER.admin, SERVER.url_of, SERVER.database
speaking_to, make_schema = SERVER.speaking_to, SERVER.make_schema
