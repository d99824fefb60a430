"""The live Producers of one provider that carry the same markets at once: which of them does what only one may do.

What comes twice on the fixed topic changes nothing. The topics of streams are carried by one copy each: by the one
that a topic's row names while that one lives, else by the first of the living, which also answers for the markets that
the provider refuses.
"""

from __future__ import annotations

from django.conf import settings

from actor_runtime.models import with_silence
from actor_runtime.ownership.description import is_alive
from actor_runtime.ownership.process_identity import is_gone
from datastore.reference.traits import Traits
from ingestion.models import Producer


def copies_of(provider: Traits) -> int:
    """Return how many live Producers carry a provider's markets at once: LIVE_COPIES, or as many as it lets connect."""
    allowed = provider.limits.connections_at_once
    return settings.LIVE_COPIES if allowed is None else min(settings.LIVE_COPIES, allowed)


class Copies:
    """The living copies, as they were last looked at; at first there is only this one."""

    def __init__(self, role: str, count: int) -> None:
        """role: of this provider's live Producers; count: how many there are to be."""
        self._role, self._count = role, count
        self._me = ""
        self._living: list[str] = []

    def look(self, me: str) -> None:
        """Look who lives; me: the name of our own row."""
        self._me, self._living = me, [me]
        if self._count > 1:
            rows = with_silence(Producer.objects.filter(role=self._role, retired_at=None).exclude(name=me))
            self._living += [
                row.name for row in rows if is_alive(row) and not row.in_error and not is_gone(str(row.owner))
            ]
            self._living.sort(key=lambda name: int(name.rpartition("-")[2]))

    @property
    def is_first(self) -> bool:
        """Return whether this copy answers for what concerns all."""
        return not self._living or self._living[0] == self._me

    def is_ours(self, producer: str) -> bool:
        """Return whether this copy carries a topic whose row names this Producer, "" for none."""
        return producer == self._me or (producer not in self._living and self.is_first)
