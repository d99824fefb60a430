"""Months of minutes that nobody has asked for: progress, an end, and every page asked for once."""

from __future__ import annotations

import pytest

from tests.support.e2e.first_charts import given_up
from tests.support.e2e.http_client import FIRST, SECOND, YEAR_DAYS, HistoryClient
from tests.support.e2e.platform import Platform
from tests.support.e2e.provider import repeated
from tests.support.polling import PATIENT_S, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


# Two months are 44 pages; the 263 of a year are asked for where time is no matter.
@pytest.mark.parametrize(
    ("market", "days"), [(FIRST, 60), pytest.param(SECOND, YEAR_DAYS, marks=pytest.mark.chaos)], ids=["months", "year"]
)
def test_months_of_minutes_are_202_then_progress_then_whole_and_each_page_is_asked_for_once(
    platform: Platform, market: str, days: int
) -> None:
    client = HistoryClient(platform, market, days)
    status, body = client.ask()
    assert (status, (body["request"] or {}).get("state")) == (202, "waiting_for_data"), body
    until("an estimate", lambda: platform.http.get(body["request"]["url"]).json()["eta"], 30)
    newest = {"from": (client.stop - 3600) * 1000}
    until("the newest hour", lambda: client.ask(**newest)[0] == 200, 30)
    # The newest come first, and an answer of minutes holds the oldest week: it is whole a moment after it began.
    assert not until("a part of an answer", client.part, 180)["complete"]
    until("a part of the first page", lambda: client.ask()[0] == 200, 180)
    # An answer of ten thousand candles: asked for at every moment, it would cost as much as the history itself.
    until("all of it", client.is_over, 60, longest_pause=PATIENT_S)
    done = [pages for _, _, pages in client.seen if pages is not None]
    assert done == sorted(done)
    assert all(pages is not None for _, complete, pages in client.seen if not complete), (
        "the running fetch is not named"
    )
    made = client.pages()
    again = repeated(made)
    assert len(made) - sum(again.values()) == client.page_count
    assert sum(again.values()) <= given_up(platform), again
    client.expect_whole()
    assert len(client.pages()) == len(made)
