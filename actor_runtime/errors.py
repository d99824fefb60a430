"""What can go wrong with an actor.

ActorError
├── Fenced          another process owns the row: stop, touch nothing
├── NotInError      a reset was requested for an actor that is not in Error
└── ActorFault      raised by an actor's work: how long the Error lasts
    ├── PlatformFault   may pass: reset after 1 s, 2 s, 4 s … 5 min
    │   └── FeedFault   always reset after 1 s
    ├── CacheFault      always reset after 1 s
    ├── RequestFault    the request's own fault: reset at once
    ├── RouteFault      one dynamic topic's fault: reset at once
    └── LastingFault    waits for a person
"""

from __future__ import annotations


class ActorError(Exception):
    """An actor failed."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class Fenced(ActorError):
    """Another process took this actor over."""


class NotInError(ActorError):
    """Only an actor in Error can be reset."""


class ActorFault(ActorError):
    """The work of an actor failed."""


class PlatformFault(ActorFault):
    """A part of the platform is away, and may come back."""


class FeedFault(PlatformFault):
    """The feed is unavailable; the caller chooses its own reconnect delay."""


class CacheFault(ActorFault):
    """The cache is away: nothing is lost by trying again soon."""


class RequestFault(ActorFault):
    """The request itself cannot be served."""


class RouteFault(ActorFault):
    """One dynamic topic is missing or refused."""


class LastingFault(ActorFault):
    """This stays as it is until a person changes something."""
