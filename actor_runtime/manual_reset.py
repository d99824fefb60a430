"""RESET by hand, for the admin site, the API and the command."""

from __future__ import annotations

from actor_runtime.errors import NotInError
from actor_runtime.models import Actor


def reset(model: type[Actor], name: str, by: str) -> None:
    """Bring an actor in Error back to its first state; its owner notices within about a second.

    Raises NotInError, or the model's DoesNotExist.
    """
    with model.locked(name) as actor:
        if not actor.in_error:
            raise NotInError(f"{name} is not in Error but in {actor.get_state_display()}.")  # type: ignore[attr-defined]
        actor.reset(by=by)  # type: ignore[attr-defined]
