"""GET dead-letters and POST dead-letters/{id}/replay: records that could not be stored, and another try."""

from __future__ import annotations

import base64
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from datastore.api.auth.permissions import requester
from datastore.api.errors import Conflict, NotFound
from datastore.api.params.query_params import dead_letters_question, no_question, query_of
from datastore.api.params.times import to_ms
from datastore.api.responses.compression import CompressedView
from datastore.api.responses.json_response import json_answer
from datastore.api.responses.paging import newest_first, next_page
from datastore.dead_letters import NotReplayable, replay, replay_obstacle
from datastore.models import DeadLetter

MAX_LISTED_BYTES = 10_000  # of each dead letter in a list; alone it is shown whole


class DeadLetters(CompressedView):
    """GET dead-letters."""

    def get(self, request: Request) -> HttpResponse:
        """Answer one page of dead letters, the newest first."""
        asked = dead_letters_question(query_of(request))
        letters = DeadLetter.objects.all()
        if asked.topic is not None:
            letters = letters.filter(topic=asked.topic)
        if asked.market is not None:
            letters = letters.filter(market=asked.market)
        found = newest_first(letters, asked.cursor, asked.limit)
        page = found[: asked.limit]
        more = next_page(request.path, found, asked.limit, topic=asked.topic, market=asked.market)
        return json_answer({"dead_letters": [letter_json(letter, MAX_LISTED_BYTES) for letter in page], "next": more})


class OneDeadLetter(APIView):
    """GET dead-letters/{id}."""

    def get(self, request: Request, number: str) -> HttpResponse:
        """Answer one dead letter with all its bytes."""
        no_question(query_of(request))
        return json_answer(letter_json(_letter(number)))


class Replay(APIView):
    """POST dead-letters/{id}/replay."""

    def post(self, request: Request, number: str) -> HttpResponse:
        """Publish the record again: 202, for the consumer is yet to store it. 409 if it is not a record of a topic."""
        try:
            replay(_letter(number), by=f"{requester(request)} (API)")
        except NotReplayable as exc:
            raise Conflict(str(exc)) from None
        return json_answer(letter_json(_letter(number), MAX_LISTED_BYTES), status=202)


def _letter(number: str) -> DeadLetter:
    found = DeadLetter.objects.filter(pk=int(number)).first()
    if found is None:
        raise NotFound(f"There is no dead letter {number}. GET /api/v1/dead-letters lists them.")
    return found


def letter_json(letter: DeadLetter, max_bytes: int | None = None) -> dict[str, Any]:
    """Return one dead letter; its bytes, or the first of them, as text with the odd ones escaped, and in base64."""
    raw = bytes(letter.raw)
    shown = raw[:max_bytes]
    return {
        "id": letter.pk,
        "topic": letter.topic,
        "market": letter.market,
        "code": letter.code,
        "reason": letter.reason,
        "position": letter.position or None,
        "created": to_ms(letter.created_at),
        "bytes": len(raw),
        "text": shown.decode("utf-8", "backslashreplace"),
        "base64": base64.b64encode(shown).decode(),
        "obstacle": replay_obstacle(letter),
        "replayed": to_ms(letter.replayed_at),
        "replayed_by": letter.replayed_by or None,
    }
