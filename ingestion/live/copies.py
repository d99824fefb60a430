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
from ingestion.models import Producer


class Copies:
    """The living copies, as they were last looked at; at first there is only this one."""

    def __init__(self, role: str) -> None:
        """role: of this provider's live Producers."""
        self._role = role
        self._me = ""
        self._living: list[str] = []

    def look(self, me: str) -> None:
        """Look who lives; me: the name of our own row."""
        self._me, self._living = me, [me]
        if settings.LIVE_COPIES > 1:
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
