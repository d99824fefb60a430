"""GET dead-letters and POST dead-letters/{id}/replay: records that could not be stored, and another try."""

from __future__ import annotations

import base64
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from django.http import HttpResponse
from django.utils.decorators import method_decorator
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.access import asker
from datastore.api.answers import json_answer, pack, unpack
from datastore.api.compression import compressed
from datastore.api.errors import BadParameters, Conflict, NotFound
from datastore.api.instants import ms, to_ms
from datastore.api.params import LettersQuestion, letters_question, no_question, query_of
from datastore.models import DeadLetter
from datastore.replays import NotReplayable, obstacle, replay

SHOWN = 10_000  # bytes of each letter in a list; alone it is shown whole


class Place(NamedTuple):
    """A place in the list: behind the letter of this id. As text it is the cursor."""

    id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


@method_decorator(compressed, name="dispatch")
class DeadLetters(APIView):
    """GET dead-letters."""

    def get(self, request: Request) -> HttpResponse:
        """Answer one page of letters, the newest first."""
        asked = letters_question(query_of(request))
        found = _page(asked)
        page = found[: asked.limit]
        more = len(found) > asked.limit
        following = f"{request.path}?{_following(asked, page[-1])}" if more else None
        return json_answer({"dead_letters": [letter_json(letter, SHOWN) for letter in page], "next": following})


class OneDeadLetter(APIView):
    """GET dead-letters/{id}."""

    def get(self, request: Request, number: str) -> HttpResponse:
        """Answer one letter with all its bytes."""
        no_question(query_of(request))
        return json_answer(letter_json(_letter(number)))


class Replay(APIView):
    """POST dead-letters/{id}/replay."""

    def post(self, request: Request, number: str) -> HttpResponse:
        """Publish the letter again: 202, for the consumer is yet to store it. 409 where it is no record of a topic."""
        try:
            replay(_letter(number), by=f"{asker(request)} (API)")
        except NotReplayable as exc:
            raise Conflict(str(exc)) from None
        return json_answer(letter_json(_letter(number), SHOWN), status=202)


def _letter(number: str) -> DeadLetter:
    found = DeadLetter.objects.filter(pk=int(number)).first()
    if found is None:
        raise NotFound(f"There is no dead letter {number}. GET /api/v1/dead-letters lists them.")
    return found


def _page(asked: LettersQuestion) -> list[DeadLetter]:
    """Return a page of letters and, where there is one, the next letter."""
    letters = DeadLetter.objects.order_by("-id")
    if asked.topic is not None:
        letters = letters.filter(topic=asked.topic)
    if asked.market is not None:
        letters = letters.filter(market=asked.market)
    if asked.cursor is not None:
        letters = letters.filter(pk__lt=_place(asked.cursor).id)
    return list(letters[: asked.limit + 1])


def _place(cursor: str) -> Place:
    try:
        place: Place = unpack(cursor, Place)
    except ValueError as exc:
        raise BadParameters({"cursor": [str(exc)]}) from None
    return place


def _following(asked: LettersQuestion, last: DeadLetter) -> str:
    parts = {"topic": asked.topic, "market": asked.market, "limit": asked.limit, "cursor": pack(last.pk)}
    return urlencode({name: value for name, value in parts.items() if value is not None}, safe=":")


def letter_json(letter: DeadLetter, most: int | None = None) -> dict[str, Any]:
    """Return one letter; its bytes, or the first of them, as text with the odd ones escaped, and in base64."""
    raw = bytes(letter.raw)
    shown = raw[:most]
    return {
        "id": letter.pk,
        "topic": letter.topic,
        "market": letter.market,
        "reason": letter.reason,
        "position": letter.position or None,
        "created": to_ms(letter.created_at),
        "bytes": len(raw),
        "text": shown.decode("utf-8", "backslashreplace"),
        "base64": base64.b64encode(shown).decode(),
        "obstacle": obstacle(letter),
        "replayed": ms(letter.replayed_at),
        "replayed_by": letter.replayed_by or None,
    }
