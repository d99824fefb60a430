"""Dump a new database with rows of every kind: `python -m tests.support.upgrade.dump NAME`.

Writes three files to tests/datastore/dumps: NAME.sql.gz, what it answers as NAME.json, and the SQL with which this
version makes the trades a hypertable as NAME_timescale.sql. From then on tests/datastore/test_upgrade.py upgrades it.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys

from tests.support.upgrade.dumps import Dump

# What only psql of the same version reads, and a setting that older servers do not know.
NOT_SQL = re.compile(r"^(\\.*|SET transaction_timeout.*)\n", re.MULTILINE)


def dumped(url: str) -> bytes:
    """Return the whole database as SQL that any connection can run."""
    from config.supervision.embedded_servers import POSTGRES_BIN

    command = [str(POSTGRES_BIN / "pg_dump"), "--no-owner", "--no-privileges", "--rows-per-insert=500", url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return NOT_SQL.sub("", text).encode()


def main(name: str) -> None:
    """Start servers, migrate, fill, dump, stop."""
    dump = Dump(name)
    if dump.script.exists():
        sys.exit(f"There is a dump of {name}. A dump of a release is never made again; delete it if it is of none.")
    from tests.support import servers  # importing it starts them and sets the environment

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    try:
        import django

        django.setup()
        from django.core.management import call_command

        from datastore.db.sql_files import script
        from tests.support.upgrade import contents

        call_command("migrate", verbosity=0)
        contents.fill()
        dump.script.write_bytes(gzip.compress(dumped(os.environ["DATABASE_URL"]), mtime=0))
        lines = [f"{json.dumps(asked)}: {json.dumps(answer)}" for asked, answer in contents.recorded().items()]
        dump.answers.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        dump.conversion.write_text(script("engines/timescale"))
        django.db.connections.close_all()
    finally:
        servers.pytest_unconfigure()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
