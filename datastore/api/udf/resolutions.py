"""Our timeframes by the library's names of them: minutes as a number, then D, W and M. Pure."""

from __future__ import annotations

from datastore.timeframes.timeframe import TIMEFRAMES

RESOLUTIONS: dict[str, str] = {
    "1": "1m",
    "3": "3m",
    "5": "5m",
    "15": "15m",
    "30": "30m",
    "60": "1h",
    "120": "2h",
    "240": "4h",
    "360": "6h",
    "720": "12h",
    "1D": "1d",
    "1W": "1w",
    "1M": "1M",
}
SUPPORTED = list(RESOLUTIONS)
INTRADAY = [name for name in SUPPORTED if name.isdigit()]
_OTHER_NAMES = {"D": "1D", "W": "1W", "M": "1M", "1440": "1D"}


def timeframe_of(text: str) -> str:
    """Return the timeframe of a resolution; raise ValueError with all that there are."""
    name = RESOLUTIONS.get(_OTHER_NAMES.get(text, text))
    if name is None:
        raise ValueError(f"is not a resolution. Accepted: {', '.join(SUPPORTED)}.")
    assert name in TIMEFRAMES  # noqa: S101 - the table above
    return name
