"""Whether a folder can be written: a full disk, a quota that is used up, a file system that became read-only."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

PROBE_BYTES = 1 << 16  # more than what a full file system may still have left over in a block
# No room, no quota left, read-only, and a device that fails: a write that may work again later.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def write_refusal(folder: Path) -> str | None:
    """Return None if this folder takes a small file, else why not."""
    try:
        with tempfile.TemporaryFile(prefix=".probe.", dir=folder) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None
