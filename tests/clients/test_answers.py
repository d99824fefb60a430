"""candlekeep-client against the API in this process: what it returns, refuses and asks again."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import async_to_sync
from candlekeep_client import (
    AccessDenied,
    Candle,
    Candles,
    GapsFound,
    Refused,
    StillFetching,
    Trade,
    UnknownMarket,
    Unreachable,
)
from django.db.models.functions import Now

from coordination.models import Coordinator
from datastore.api.responses.streamed import BROKEN_OFF
from datastore.models import DatastoreRequest, Market
from tests.support.api.fetching import START, STOP, bring
from tests.support.api.rows import BEGAN, MINUTE, SYMBOL
from tests.support.clients.in_process import async_client, client

pytestmark = pytest.mark.timeout(30)
README = Path(__file__).resolve().parents[2] / "clients" / "python" / "README.md"
UNTIL = BEGAN + 5 * MINUTE


def test_candles_are_exact_records_with_their_certificate(five_minutes: Market) -> None:
    with client() as ck:
        found = ck.candles(SYMBOL, "1m", BEGAN, UNTIL)
    assert found.rows[0] == Candle(
        time=BEGAN,
        open=Decimal("100.1"),
        high=Decimal("100.1"),
        low=Decimal("99"),
        close=Decimal("99"),
        volume=Decimal("1.5"),
        quote_volume=Decimal("149.05"),
        trades=2,
        source="live",
        closed=True,
        revision=0,
    )
    assert [candle.time for candle in found] == [BEGAN, BEGAN + MINUTE, BEGAN + 3 * MINUTE]
    assert found[-1].volume == Decimal("0.00000001") and found[1:] == found.rows[1:]
    proven = found.certificate
    assert (proven.market, proven.timeframe, proven.simulated) == (SYMBOL, "1m", True)
    assert proven.complete and proven.complete_until == UNTIL and proven.gaps == ()
    (segment,) = proven.segments
    assert (segment.start, segment.end, segment.state, segment.proof, segment.quiet) == (
        BEGAN,
        UNTIL,
        "live",
        "connection",
        2,
    )
    assert repr(found) == f"<Candles of {SYMBOL} 1m: 3 rows, complete>"


def test_a_gap_is_refused_by_name_and_returned_if_it_is_allowed(five_minutes: Market) -> None:
    with client() as ck:
        with pytest.raises(GapsFound) as raised:
            ck.candles(SYMBOL, "1m", BEGAN - 2 * MINUTE, UNTIL)
        allowed = ck.candles(SYMBOL, "1m", BEGAN - 2 * MINUTE, UNTIL, gaps="allow")
    (gap,) = raised.value.gaps
    assert (gap.start, gap.end, gap.state) == (BEGAN - 2 * MINUTE, BEGAN, "gap") and gap.reason
    text = str(raised.value)
    assert text.startswith(f"{SYMBOL} 1m has a gap: {BEGAN - 2 * MINUTE:%Y-%m-%d %H:%M} to {BEGAN:%Y-%m-%d %H:%M} UTC")
    assert f"(gap: {gap.reason}" in text
    assert raised.value.candles.rows == allowed.rows and len(allowed) == 3
    assert not allowed.certificate.complete and repr(allowed).endswith("3 rows, 1 gap>")


def test_pages_become_one_answer(five_minutes: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    with client() as ck:
        whole = ck.candles(SYMBOL, "1m", BEGAN, UNTIL)
        trades = ck.trades(SYMBOL, BEGAN, UNTIL)
        monkeypatch.setattr("datastore.api.views.candles.MAX_ROWS", 2)
        monkeypatch.setattr("candlekeep_client.long_answers.find_spec", lambda _: None)
        paged = ck.candles(SYMBOL, "1m", BEGAN, UNTIL)
        there = ck.coverage(SYMBOL, "1m", BEGAN, UNTIL)
    assert paged.rows == whole.rows
    assert (whole.certificate.pages, paged.certificate.pages) == (1, 3)
    assert paged.certificate.segments == whole.certificate.segments, "the edge of a page divides nothing"
    assert paged.certificate.complete_until == UNTIL
    assert (there.asked, there.proven, there.pending, there.missing) == (5, 5, 0, ())
    assert (there.states, there.quiet) == ({"live": timedelta(minutes=5)}, 2)
    assert there.proofs == {"connection": timedelta(minutes=5)}
    assert len(trades) == 4


def test_a_range_of_several_pages_is_one_answer_of_one_snapshot(
    five_minutes: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    span, asked = (SYMBOL, "1m", BEGAN - 2 * MINUTE, UNTIL), list[str]()
    with client(lambda request: asked.append(request.url.params.get("format", "json"))) as ck:
        expected = ck.candles(*span, gaps="allow")
        monkeypatch.setattr("datastore.api.views.candles.MAX_ROWS", 2)
        found = ck.candles(*span, gaps="allow")
        assert asked == ["json", "json", "arrow"]
        with pytest.raises(GapsFound, match="has a gap"):
            ck.candles(*span)
    assert found._cells == [tuple(row) for row in expected._cells]  # every digit, and every type
    same = ("market", "timeframe", "provider", "version", "complete", "complete_until", "segments", "gaps", "pages")
    for name in same:
        assert getattr(found.certificate, name) == getattr(expected.certificate, name), name
    assert [segment.quiet for segment in found.certificate.segments] == [0, 2]
    assert found.to_arrow().schema.types == expected.to_arrow().schema.types


@pytest.mark.parametrize("trouble", ["busy", "not installed", "broken off", "lost", "being fetched"])
def test_where_no_long_answer_is_to_be_had_pages_are_read(
    five_minutes: Market, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    def spoilt(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if request.url.params.get("format") != "arrow":
            return answer
        if trouble == "lost":
            raise httpx.RemoteProtocolError("incomplete chunked read")
        body, headers = answer.read(), {}
        if trouble == "broken off":
            body = body[: len(body) // 2] + BROKEN_OFF
        if trouble == "being fetched":
            headers["Candlekeep-Request"] = "/api/v1/requests/7"
        return httpx.Response({"busy": 503, "not installed": 400}.get(trouble, 200), headers=headers, content=body)

    monkeypatch.setattr("datastore.api.views.candles.MAX_ROWS", 2)
    with client(changed=spoilt) as ck:
        found = ck.candles(SYMBOL, "1m", BEGAN, UNTIL)
    assert (len(found), found.certificate.pages, found.certificate.complete) == (3, 3, True)


def test_coverage_says_what_is_missing_and_why(five_minutes: Market) -> None:
    with client() as ck:
        there = ck.coverage(SYMBOL, "1m", BEGAN - 2 * MINUTE, UNTIL)
    (missing,) = there.missing
    assert (missing.start, missing.end, missing.buckets) == (BEGAN - 2 * MINUTE, BEGAN, 2) and missing.code
    assert [gap.state for gap in there.gaps] == ["gap"]


def test_trades_keep_microseconds_and_digits(five_minutes: Market) -> None:
    with client() as ck:
        found = ck.trades(SYMBOL, limit=3)
        assert found.cursor is not None and repr(found) == f"<Trades of {SYMBOL}: 3 rows>"
        first = found[0]
    assert first == Trade(
        time=BEGAN + timedelta(seconds=30, microseconds=1),
        trade_id="b",
        seq=None,
        side="sell",
        price=Decimal("99"),
        amount=Decimal("1"),
        received=first.received,
    )


def test_markets_are_typed(five_minutes: Market) -> None:
    with client() as ck:
        (one,) = ck.markets()
        assert ck.market("BTC/USD").market == one.market == SYMBOL
    assert (one.first, one.last_price, one.feed) == (BEGAN, Decimal(102), "stale")
    assert one.freshness is not None and one.freshness > timedelta(minutes=4)


def test_the_async_client_returns_the_same(five_minutes: Market) -> None:
    async def asked() -> list[Any]:
        async with async_client() as ck:
            return [
                (await ck.candles(SYMBOL, "1m", BEGAN, UNTIL)).rows,
                (await ck.trades(SYMBOL, BEGAN, UNTIL)).rows,
                await ck.market(SYMBOL),
                len(await ck.markets()),
                (await ck.coverage(SYMBOL, "1m", BEGAN, UNTIL)).proven,
            ]

    with client() as ck:
        rows, trades = ck.candles(SYMBOL, "1m", BEGAN, UNTIL).rows, ck.trades(SYMBOL, BEGAN, UNTIL).rows
    found = async_to_sync(asked)()
    assert found[:2] == [rows, trades] and found[2].market == SYMBOL and found[3:] == [1, 5]


SAME = [
    BEGAN,
    BEGAN.isoformat(),
    int(BEGAN.timestamp()),
    BEGAN.timestamp(),
    int(BEGAN.timestamp()) * 1000,
    BEGAN.timestamp() * 1000,
    BEGAN.astimezone(datetime.now().astimezone().tzinfo),
]


@pytest.mark.parametrize("start", SAME, ids=lambda value: type(value).__name__)
def test_a_time_may_be_written_in_any_sensible_way(five_minutes: Market, start: Any) -> None:
    with client() as ck:
        assert ck.candles(SYMBOL, "1m", start, UNTIL)[0].time == BEGAN


def test_a_date_is_midnight_and_what_nobody_can_mean_is_refused(five_minutes: Market) -> None:
    asked: list[str] = []
    with client(lambda request: asked.append(request.url.params.get("from"))) as ck:
        ck.candles(SYMBOL, "1d", date(2026, 1, 2), date(2026, 1, 3), gaps="allow")
        with pytest.raises(ValueError, match="start: 2026-01-02 00:00:00 has no time zone"):
            ck.candles(SYMBOL, "1d", datetime(2026, 1, 2))
        with pytest.raises(ValueError, match="limit: it counts back from the end"):
            ck.candles(SYMBOL, "1d", BEGAN, limit=5)
    assert asked == ["2026-01-02"]


def test_what_is_wrong_is_named(five_minutes: Market) -> None:
    with client() as ck:
        with pytest.raises(Refused, match=r"400: .*timeframe: ") as raised:
            ck.candles(SYMBOL, "7m")
        assert raised.value.status == 400 and list(raised.value.errors) == ["timeframe"]
        with pytest.raises(UnknownMarket, match="coinbase:NOPE-USD"):
            ck.candles("coinbase:NOPE-USD")
    with client(key="ck_nonsense_at_all") as ck, pytest.raises(AccessDenied, match="401"):
        ck.markets()


def test_the_one_liners_of_its_readme_run(whole: Market) -> None:
    lines = re.findall(r"^ck\.\w+\(.*$", README.read_text(), re.MULTILINE)
    for line in lines:
        times = iter((BEGAN.isoformat(), UNTIL.isoformat()))
        question = re.sub(r'"2026-[^"]*"', lambda _, at=times: repr(next(at)), line)
        with client() as ck:
            assert eval(question, {"ck": ck}) is not None, line  # noqa: S307 - our own page
    assert len(lines) == 7


@pytest.fixture
def coordinator(market: Market) -> Coordinator:
    return Coordinator.objects.create(name="coordinator-1", owner="here:1:1", heartbeat_at=Now())


def test_what_is_being_fetched_is_asked_for_until_it_is_there(
    market: Market, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candlekeep_client.questions.WAIT_S", 0)
    asked: list[httpx.Request] = []

    def seen(request: httpx.Request) -> None:
        asked.append(request)
        if len(asked) == 3:  # the provider answers between two questions
            bring(market)

    with client(seen) as ck:
        found: Candles = ck.candles(SYMBOL, "1m", START, STOP)
    assert found.certificate.complete and found[0].open == 7 and len(asked) == 3
    assert DatastoreRequest.objects.exists()


def test_what_does_not_come_in_time_is_said(market: Market, coordinator: Coordinator) -> None:
    with client() as ck, pytest.raises(StillFetching, match=r"0 of . pages") as raised:
        ck.candles(SYMBOL, "1m", START, STOP, patience=0)
    assert raised.value.request["market"] == SYMBOL


@pytest.mark.parametrize("times", [1, 3])
def test_a_server_that_is_away_for_a_moment_is_asked_again(five_minutes: Market, times: int) -> None:
    asked: list[httpx.Request] = []

    def seen(request: httpx.Request) -> None:
        asked.append(request)
        if len(asked) <= times:
            raise httpx.ConnectError("refused")

    with client(seen) as ck:
        assert len(ck.candles(SYMBOL, "1m", BEGAN, UNTIL)) == 3
    assert len(asked) == times + 1
    with client(lambda _: 1 / 0) as ck, pytest.raises(ZeroDivisionError):
        ck.markets()


def test_patience_ends(five_minutes: Market) -> None:
    def away(_: httpx.Request) -> None:
        raise httpx.ReadTimeout("silent")

    with client(away) as ck, pytest.raises(Unreachable, match="ReadTimeout: silent"):
        ck.markets(patience=0)
