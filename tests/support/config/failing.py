"""An application whose every request fails outside of Django, for the web server's own log."""

from __future__ import annotations


def application(environ: object, start_response: object) -> None:
    """Fail, with a key in the reason."""
    raise RuntimeError("api_key=sesame-open-9 was refused")
