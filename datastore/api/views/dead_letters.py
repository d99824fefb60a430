"""GET dead-letters and POST dead-letters/{id}/replay: records that could not be stored, and another try."""

from __future__ import annotations

import base64
from typing import Any

from django.http import HttpResponse
from django.utils.decorators import method_decorator
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.auth.permissions import asker
from datastore.api.errors import Conflict, NotFound
from datastore.api.params.query_params import LettersQuestion, letters_question, no_question, query_of
from datastore.api.params.times import ms, to_ms
from datastore.api.responses.compression import compressed
from datastore.api.responses.json_response import json_answer
from datastore.api.responses.paging import newest_first, next_page
from datastore.dead_letters import NotReplayable, replay, replay_obstacle
from datastore.models import DeadLetter

SHOWN = 10_000  # bytes of each letter in a list; alone it is shown whole


@method_decorator(compressed, name="dispatch")
class DeadLetters(APIView):
    """GET dead-letters."""

    def get(self, request: Request) -> HttpResponse:
        """Answer one page of letters, the newest first."""
        asked = letters_question(query_of(request))
        found = _page(asked)
        page = found[: asked.limit]
        more = next_page(request.path, found, asked.limit, topic=asked.topic, market=asked.market)
        return json_answer({"dead_letters": [letter_json(letter, SHOWN) for letter in page], "next": more})


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
    letters = DeadLetter.objects.all()
    if asked.topic is not None:
        letters = letters.filter(topic=asked.topic)
    if asked.market is not None:
        letters = letters.filter(market=asked.market)
    return newest_first(letters, asked.cursor, asked.limit)


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
        "obstacle": replay_obstacle(letter),
        "replayed": ms(letter.replayed_at),
        "replayed_by": letter.replayed_by or None,
    }
