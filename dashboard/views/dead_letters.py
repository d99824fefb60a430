"""The pages of dead letters: all of them by reason, and one with its bytes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from dashboard import letter_list
from dashboard.pages import readable
from dashboard.refreshing import absent, refreshing


@readable
def dead_letters(request: HttpRequest) -> HttpResponse:
    """Show records that could not be stored."""

    def shown() -> dict[str, Any]:
        letters = letter_list.letters_asked(request.GET)
        replayable = " ".join(f"/api/v1/dead-letters/{number}/replay" for number in letters.replayable)
        return {"shown": letters, "found": letters.found, "replayable": replayable}

    return refreshing(request, "dead_letters", shown)


@readable
def dead_letter(request: HttpRequest, number: int) -> HttpResponse:
    """Show one record with all its bytes."""
    found = letter_list.one_letter(number)
    if found is None:
        return absent(request, f"dead letter {number}", "It may have been deleted.", "/dead-letters")
    row, raw = found
    return refreshing(request, "dead_letter", lambda: {"row": row, "raw": raw})
