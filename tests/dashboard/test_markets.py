"""The page of the markets: what each row says, and that it costs the same whatever the number of markets."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.board import Bar, bars, board, in_words, spark
from datastore.coverage.certificate import LIVE, MISSING, OPEN, PENDING, PROVIDER, Run
from datastore.models import Market, Pair
from datastore.reference.markets import ensure_markets
from tests.support.datastore.provider_time import ProviderTime
from tests.support.datastore.records import BTC, MINUTE, NOON, opened, store, trade, watermark

pytestmark = pytest.mark.django_db(transaction=True)
M = 60_000_000  # microseconds
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def market(provider_time: ProviderTime) -> Market:
    (market,) = ensure_markets([BTC])
    provider_time.set(NOON + 2 * MINUTE)
    store(opened(1, NOON), trade(2, NOON + 1, "64000.10"), watermark(3, NOON + 2 * MINUTE))
    return market


def page(client: Client, path: str = "/") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_row_shows_price_feed_and_coverage_in_words(market: Market, client: Client) -> None:
    text = page(client)
    (row,) = re.findall(rf'<tr data-market="{BTC}".*?</tr>', text, re.S)
    assert "64,000.1" in row and 'data-feed="live"' in row
    assert re.search(r'aria-label="[\d.]+ % gap, [^"]*live', row)
    assert "unfollow" not in row, "who is not signed in cannot write"


def test_without_a_followed_market_the_page_says_what_to_do(client: Client) -> None:
    assert "No market is followed" in page(client)


def test_a_search_finds_pairs_in_any_spelling_and_leaves_out_what_is_followed(market: Market, client: Client) -> None:
    for symbol in (BTC, "kraken:BTC-USD"):
        exchange, _, pair = symbol.partition(":")
        base, _, quote = pair.partition("-")
        names = {"provider_exchange": exchange, "provider_base": base, "provider_quote": quote}
        Pair.objects.create(
            symbol=symbol,
            exchange=exchange,
            base=base,
            quote=quote,
            joined=base + quote,
            seen_at=timezone.now(),
            **names,
        )
    for spelling in ("btcusd", "BTC/USD", "kraken:btc"):
        text = page(client, f"/?part=pairs&q={spelling}")
        assert "kraken:BTC-USD" in text and f"{BTC}<" not in text
    assert "Follow</button>" not in text


def test_staff_may_follow_and_unfollow(market: Market, client: Client) -> None:
    client.force_login(User.objects.create_user("ada", is_staff=True))
    text = page(client)
    assert f'data-post="/api/v1/markets/{quote(BTC, safe="")}" data-method="DELETE"' in text
    answer = client.delete(f"/api/v1/markets/{BTC}")
    assert (answer.status_code, answer.json()["followed"]) == (200, False)
    assert "No market is followed" in page(client)


def test_a_viewer_may_read_where_a_key_is_needed_and_write_nothing(
    market: Market, client: Client, settings: Any
) -> None:
    settings.REQUIRE_API_KEY = True
    assert client.get("/").headers["Location"] == "/sign-in?next=%2F"
    client.force_login(User.objects.create_user("eve"))
    assert "unfollow" not in page(client)
    assert client.delete(f"/api/v1/markets/{BTC}").status_code == 403


def test_text_that_others_choose_stays_text(market: Market, client: Client) -> None:
    Market.objects.update(refusal=SCRIPT)
    for path in ("/", f"/markets/{BTC}", f"/?part=pairs&q={SCRIPT}", f"/markets/{SCRIPT}", f"/sign-in?next={SCRIPT}"):
        text = client.get(path).content.decode()
        assert SCRIPT not in text, path


def test_every_page_says_what_a_browser_may_load(market: Market, client: Client) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "style-src 'self'" in policy and "unsafe" not in policy
    assert re.search(r"connect-src 'self' http://testserver:\d+", policy)


def test_twenty_markets_cost_as_many_statements_as_one(market: Market, client: Client) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as asked:
            page(client)
        return len(asked)

    statements()
    few = statements()
    ensure_markets([f"coinbase:C{number}-USD" for number in range(19)])
    assert statements() == few
    assert len(board().rows) == 20


def test_a_cell_shows_the_worst_of_its_minutes() -> None:
    runs = [
        Run(0, 25 * M, PROVIDER, PROVIDER, True),
        Run(25 * M, 34 * M, LIVE, LIVE, True),
        Run(34 * M, 35 * M, MISSING, PROVIDER, True),
        Run(35 * M, 60 * M, LIVE, LIVE, True),
        Run(60 * M, 61 * M, PENDING, LIVE, False),
        Run(61 * M, 62 * M, OPEN, LIVE, False),
    ]
    shown = bars(runs, [(40 * M, 50 * M)], 0, 62 * M)
    assert shown == [
        Bar("provider", 0, 3),
        Bar("gap", 3, 1),
        Bar("quiet", 4, 1),
        Bar("live", 5, 1),
        Bar("pending", 6, 1),
    ]
    assert in_words(runs) == "54.8 % live, 40.3 % provider, 1.6 % gap, 1.6 % pending, 1.6 % open"


def test_a_sparkline_needs_two_prices_and_lies_within_its_box() -> None:
    assert spark([]) == spark([1.0]) == ""
    assert spark([1.0, 3.0, 2.0]) == "0.0,26.0 60.0,2.0 120.0,14.0"
    assert spark([5.0, 5.0]) == "0.0,26.0 120.0,26.0"
