"""The faults that can be asked of a venue, as the bodies of POST /control/venues/<name>/<fault>."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from simulator.venues.faults import ALL, HeartbeatKind, TroubleKind

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """Any fault; `market` is like coinbase:BTC-USD, or * for every one."""


class Timed(Fault):
    """A fault that ends after so many seconds of the simulator's time."""

    seconds: Seconds


class Cut(Fault):
    """Cut all connections and refuse new ones; notice: announce it so many seconds before, where the venue does."""

    seconds: Seconds = 0
    notice: Seconds | None = None


class Silence(Timed):
    """Send nothing to the connections that are open now, or (scope all) to new ones as well."""

    scope: Literal["open", "all"] = "open"


class Counted(Fault):
    """Do it to the next `count` trades of one market."""

    market: str
    count: Count = 1


class Omit(Timed):
    """Leave out a share of a market's trades on the socket; splits: only of those after the first of one time."""

    market: str = ALL
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    splits: bool = False


class Muddle(Timed):
    """Send a share of a market's trades twice, and as many before the one that they should follow."""

    market: str = ALL
    share: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.01


class Statement(Timed):
    """Lie about the last id: in heartbeats, or in the frames of candles."""

    kind: HeartbeatKind = "zero"
    by: Count = 1


class Refuse(Timed):
    """Refuse new subscriptions of a market."""

    market: str = ALL


class Trouble(Timed):
    """Answer REST with an error; sockets: handshakes as well."""

    kind: TroubleKind
    retry_after: Count | None = None
    sockets: bool = False


class Shift(Timed):
    """Begin pages of trades so many trades further on than they were asked for."""

    by: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 1


class Skew(Timed):
    """Let the venue's clock be so many seconds off; trades keep their times."""

    offset: Annotated[float, msgspec.Meta(ge=-86_400, le=86_400)]


class Keep(Fault):
    """Let REST have only the newest trades of a market; without a count: all."""

    market: str
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Lifetime(Fault):
    """Cut each connection so many seconds after it was opened; None: as the venue does."""

    seconds: Seconds | None = None


class Garbage(Fault):
    """Send one frame that cannot be read to all connections."""

    kind: Literal["text", "array", "type"] = "text"


class Reset(Fault):
    """Turn every fault off."""
