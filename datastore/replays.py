"""Dead letters published again: their bytes go back to their topic, where the ordinary consumer handles them.

Nothing here decides what they are worth. A record that is stored already changes nothing; a trade of an old number is
stored and claims nothing; what is refused again becomes a dead letter of its own, with the new reason.
"""

from __future__ import annotations

from django.db.models.functions import Now

from actor_runtime.configured_broker import configured_broker
from datastore.models import DeadLetter
from streaming.broker import Message
from streaming.errors import BadRecord, TopicMissing


class NotReplayable(Exception):
    """This letter cannot be published again."""


def obstacle(letter: DeadLetter) -> str | None:
    """Return why a letter cannot be published again, None where it can."""
    if not letter.position:
        return "It is a frame of the provider's that never became a record: there is no topic to publish it to."
    return None if letter.market else "It names no market, so it has no key to be published under."


def replay(letter: DeadLetter, by: str) -> None:
    """Publish a letter's bytes to its topic again, and note by whom. Raises NotReplayable, StreamUnavailable."""
    if reason := obstacle(letter):
        raise NotReplayable(reason)
    publisher = configured_broker().publisher()
    try:
        publisher.publish(letter.topic, [Message(letter.market or "", bytes(letter.raw))])
    except TopicMissing:
        raise NotReplayable(f"The topic {letter.topic} does not exist any more.") from None
    except BadRecord as exc:
        raise NotReplayable(f"The broker does not take it: {exc}.") from None
    finally:
        publisher.close()
    # After the topic has it: if we die in between, it is replayed and not marked, and may be replayed again.
    DeadLetter.objects.filter(pk=letter.pk).update(replayed_at=Now(), replayed_by=by)
