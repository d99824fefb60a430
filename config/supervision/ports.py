"""Which ports this start uses: the set ones must be free, the others are chosen once and kept in the folder."""

from __future__ import annotations

import errno
import json
import socket
from contextlib import suppress
from pathlib import Path

from config.secret_files import replace_text
from config.supervision.embedded_servers import free_port
from config.supervision.errors import StartError

LOOPBACK = "127.0.0.1"


def check_free(setting: str, host: str, port: int) -> None:
    """Raise StartError naming the setting if this address cannot be listened on."""
    if (error := _refusal(host, port)) is None:
        return
    if error.errno == errno.EADDRINUSE:
        raise StartError(f"Port {port} on {host} is taken by another program. Set {setting} to another one.")
    if isinstance(error, PermissionError):
        raise StartError(f"Port {port} needs more rights than yours. Set {setting} to one above 1023.")
    raise StartError(f"{host}:{port} cannot be listened on: {error.strerror}. Set HOST and {setting} to one of ours.")


def choose_port(home: Path, setting: str, wanted: int) -> int:
    """Return the wanted port if it is free, or with 0 the one kept for this home; a kept one that is taken is replaced.

    Raises StartError if the wanted port is taken.
    """
    if wanted:
        check_free(setting, LOOPBACK, wanted)
        return wanted
    path = home / "run" / "ports.json"
    kept: dict[str, int] = {}
    with suppress(FileNotFoundError, ValueError):
        kept = json.loads(path.read_text())
    if setting not in kept or _refusal(LOOPBACK, kept[setting]):
        others = {port for name, port in kept.items() if name != setting}
        while (port := free_port()) in others:
            pass
        kept[setting] = port
        replace_text(path, json.dumps(kept))
    return kept[setting]


def _refusal(host: str, port: int) -> OSError | None:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as sock:
            # As servers do: connections that linger from the last run are no obstacle.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            # Bound but unheard is not enough on Linux: the listener decides.
            sock.listen(1)
    except OSError as error:
        return error
    return None
