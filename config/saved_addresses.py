"""The servers' addresses that a running `manage.py up` leaves in its home."""

from __future__ import annotations

import json
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config.secret_files import is_locked


def saved_addresses(home: Path) -> dict[str, str]:
    """Return the addresses that a running `manage.py up` saved for its home's commands; raise ImproperlyConfigured."""
    if not is_locked(home / "run" / "lock"):
        return {}  # nothing runs: a file there is from a start that was killed
    try:
        addresses: dict[str, str] = json.loads((home / "run" / "servers.json").read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"CANDLEKEEP_HOME/run/servers.json cannot be read: {error}.") from None
    return addresses
