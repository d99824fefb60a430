"""The providers that this process knows, by their traits. A market's row remembers the name of its own for good.

They are registered when the app that has the providers starts (ingestion/apps.py): this module imports none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from datastore.reference.traits import Traits


class UnknownProvider(LookupError):
    """No provider of this name is there, or none that delivers a venue."""


LIVE_ROLE = "producer-live"  # of the Producers that take live feeds
FIRST_PROVIDER = "cryptocompare"  # older than the others, so that its role is the bare one
_registered: dict[str, Traits] = {}


def live_role(provider: str) -> str:
    """Return the role of the Producers that take this provider's live feeds."""
    return LIVE_ROLE if provider == FIRST_PROVIDER else f"{LIVE_ROLE}-{provider}"


def register(providers: Iterable[Traits]) -> None:
    """Make providers known to the datastore of this process; the newest of a name counts."""
    _registered.update((one.name, one) for one in providers)


def traits_of(provider: str) -> Traits:
    """Return a provider's traits; raise UnknownProvider."""
    try:
        return _registered[provider]
    except KeyError:
        known = ", ".join(sorted(_registered))
        raise UnknownProvider(f"there is no provider {provider!r}; there are: {known}") from None


def provider_of(venue: str, providers: Sequence[str]) -> Traits:
    """Return the first of these providers that delivers a venue's markets; raise UnknownProvider."""
    for one in map(traits_of, providers):
        if one.venues is None or venue in one.venues:
            return one
    raise UnknownProvider(f"none of the providers {', '.join(providers)} delivers markets of {venue!r}")
