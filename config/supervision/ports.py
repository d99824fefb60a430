"""Which ports this start uses: configured ones must be free, others are chosen once and saved in the folder."""

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
    """Raise StartError that names the setting, if this address cannot be listened on."""
    if (error := _refusal(host, port)) is None:
        return
    if error.errno == errno.EADDRINUSE:
        raise StartError(f"Port {port} on {host} is taken by another program. Set {setting} to another one.")
    if isinstance(error, PermissionError):
        raise StartError(f"Port {port} needs more rights than yours. Set {setting} to one above 1023.")
    raise StartError(
        f"{host}:{port} cannot be listened on: {error.strerror}. Set HOST and {setting} to an address of this machine."
    )


def choose_port(home: Path, setting: str, configured: int) -> int:
    """Return the configured port or, if that is 0, the one saved for this home; a saved one that is taken is replaced.

    Raises StartError if the configured port is taken.
    """
    if configured:
        check_free(setting, LOOPBACK, configured)
        return configured
    path = home / "run" / "ports.json"
    saved: dict[str, int] = {}
    with suppress(FileNotFoundError, ValueError):
        saved = json.loads(path.read_text())
    if setting not in saved or _refusal(LOOPBACK, saved[setting]):
        others = {port for name, port in saved.items() if name != setting}
        while (port := free_port()) in others:
            pass
        saved[setting] = port
        replace_text(path, json.dumps(saved))
    return saved[setting]


def _refusal(host: str, port: int) -> OSError | None:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as sock:
            # As servers do, so that connections that linger from the last run are no obstacle.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            # On Linux two sockets may bind the same port; only one can listen.
            sock.listen(1)
    except OSError as error:
        return error
    return None
