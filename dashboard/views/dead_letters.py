"""The pages of dead letters: all of them by reason, and one with its bytes."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from dashboard import letter_list
from dashboard.pages import page, readable
from dashboard.refreshing import refreshing


@readable
def dead_letters(request: HttpRequest) -> HttpResponse:
    """Show records that could not be stored."""
    shown = letter_list.letters_asked(request.GET)
    replayable = " ".join(f"/api/v1/dead-letters/{number}/replay" for number in shown.replayable)
    return refreshing(request, "dead_letters", {"shown": shown, "found": shown.found, "replayable": replayable})


@readable
def dead_letter(request: HttpRequest, number: int) -> HttpResponse:
    """Show one record with all its bytes."""
    found = letter_list.one_letter(number)
    if found is None:
        what = {"what": f"dead letter {number}", "why": "It may have been deleted.", "back": "/dead-letters"}
        return page(request, "absent.html", what, status=404)
    row, raw = found
    return refreshing(request, "dead_letter", {"row": row, "raw": raw})
