"""The commands about history: backfill, gaps, verify, add_market."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from structlog.testing import capture_logs

from config.monitoring.status import overview
from coordination.models import Coordinator
from datastore.api.views.requests import request_json
from datastore.backfill.completion import add_final_gap
from datastore.engines.retention import delete_old_trades
from datastore.ingest.live_write import digest, store_live
from datastore.management.commands import backfill as backfill_command
from datastore.management.progress import bar
from datastore.models import Candle, Coverage, DatastoreRequest, FetchRequest, GapRepair, Market, ProviderCandle
from datastore.reference.markets import ensure_markets
from datastore.reference.pairs import Listed, save_pair_list
from datastore.reference.provider import remember_provider
from datastore.reference.provider_clock import save_clock
from datastore.requests import endings
from datastore.tasks import verify
from ingestion.models import Producer
from metering.table import VERIFIED
from tests.support.datastore import records

pytestmark = pytest.mark.django_db
SYMBOL = "coinbase:BTC-USD"
DAY = datetime(2026, 10, 1, tzinfo=UTC)
SPAN = ("--from", "2026-10-01", "--to", "2026-10-02")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def market() -> Market:
    remember_provider("cryptocompare", "simulator/test", True)
    save_clock("cryptocompare", timedelta(0), timezone.now() - timedelta(minutes=1))
    return ensure_markets([SYMBOL, "kraken:BTC-USD"])[0]


@pytest.fixture
def coordinator(market: Market) -> Coordinator:
    return Coordinator.objects.create(name="coordinator-1", owner="here:1:1", heartbeat_at=Now())


def run(name: str, *arguments: str, to: io.StringIO | None = None) -> str:
    out = to or io.StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()


class Steps:
    """Stands for the time between two looks of the command: each wait is one step of the platform's work."""

    def __init__(self, *steps: Callable[[], Any]) -> None:
        self._steps = list(steps)

    def wait(self, seconds: float) -> None:
        self._steps.pop(0)()


def update(**values: Any) -> Callable[[], None]:
    def step() -> None:
        FetchRequest.objects.update(**values)
        endings.end_requests()

    return step


def follow(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], Any]) -> None:
    clock = Steps(*steps)
    monkeypatch.setattr(backfill_command, "Event", lambda: clock)


def test_a_backfill_draws_a_bar_to_its_end(coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch) -> None:
    working = {"state": "fetching", "pages_total": 4}
    steps = update(**working, pages_done=1), update(**working, pages_done=4), update(state="done")
    stop = DAY + timedelta(days=1)
    cover = Coverage(market=Market.objects.get(symbol=SYMBOL), source="provider", resolution=60, start=DAY, stop=stop)
    follow(monkeypatch, *steps[:2], lambda: (cover.save(), steps[2]()))
    out = run("backfill", SYMBOL, *SPAN, to=Terminal())
    assert "1 span of coinbase:BTC-USD 1m requested" in out
    assert "[#######" + "." * 23 + "] 1 of 4 pages, done about " in out
    assert "[" + "#" * 30 + "] 4 of 4 pages" in out
    assert out.endswith("coinbase:BTC-USD 1m: 1,440 of 1,440 candles are there (100.00 %, 1 d of 1 d).\n")
    assert DatastoreRequest.objects.get().state == "idle"


def test_a_backfill_that_fails_says_why(coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch) -> None:
    follow(monkeypatch, update(error="the provider answers 503"), update(state="failed", error="unknown market"))
    out = io.StringIO()
    with pytest.raises(CommandError, match="unknown market"):
        run("backfill", SYMBOL, *SPAN, to=out)
    assert "0 of ? pages, the provider answers 503" in out.getvalue()


def test_an_interrupted_backfill_goes_on_without_its_watcher(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    follow(monkeypatch, interrupt)
    request = "GET /api/v1/requests/"
    assert request in run("backfill", SYMBOL, *SPAN)
    assert FetchRequest.objects.get().state == "queued"


def test_a_backfill_that_nobody_would_fetch_is_kept_and_says_so(market: Market) -> None:
    with pytest.raises(CommandError, match="no Coordinator is running"):
        run("backfill", SYMBOL, *SPAN)
    assert "1 span" in run("backfill", SYMBOL, *SPAN, "--no-wait")
    assert FetchRequest.objects.count() == 1


def test_a_backfill_of_what_is_there_asks_for_nothing(market: Market) -> None:
    stop = DAY + timedelta(days=1)
    Coverage.objects.create(market=market, source="provider", resolution=60, start=DAY, stop=stop)
    assert "1,440 of 1,440 candles are there" in run("backfill", SYMBOL, *SPAN)
    assert "nothing of it has begun yet" in run("backfill", SYMBOL, "--from", "2099-01-01")
    assert not FetchRequest.objects.exists()


YEAR = ("--from", "2025-10-01", "--to", "2026-10-01")
MOST_IS_FINAL = (
    r"10,080 of 525,600 candles are there \(1\.92 %, 7 d of 365 d\); "
    r"515,520 final, will not come \(98\.08 %, 358 d\): only the last 7 days are kept"
)


def refuse_what_is_old() -> None:
    """Let the provider have the last week of the year before DAY, and refuse the rest for good."""
    found = Market.objects.get(symbol=SYMBOL)
    start, border = DAY - timedelta(days=365), DAY - timedelta(days=7)
    Coverage.objects.create(market=found, source="provider", resolution=60, start=border, stop=DAY)
    with transaction.atomic():
        add_final_gap(found, 60, start, border, "only the last 7 days are kept.")
    update(state="failed", error="only the last 7 days are kept")()


def test_what_the_provider_will_never_have_is_missing_at_every_run(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(monkeypatch, refuse_what_is_old)
    with pytest.raises(CommandError, match=r"request-\d+ failed: only the last 7 days are kept\. .*" + MOST_IS_FINAL):
        run("backfill", SYMBOL, *YEAR)
    out = io.StringIO()
    with pytest.raises(CommandError, match=MOST_IS_FINAL):
        run("backfill", SYMBOL, *YEAR, to=out)
    assert out.getvalue() == "There is nothing to fetch.\n"
    assert FetchRequest.objects.count() == 1
    assert "10,080 of 525,600 candles are there" in run("gaps", SYMBOL, *YEAR)


def test_what_is_final_is_asked_for_again_by_a_person_who_says_so(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(monkeypatch, refuse_what_is_old)
    with pytest.raises(CommandError):
        run("backfill", SYMBOL, *YEAR)
    assert "1 span" in run("backfill", SYMBOL, *YEAR, "--again", "--no-wait")
    again = FetchRequest.objects.get(state="queued")
    assert (again.start, again.stop) == (DAY - timedelta(days=365), DAY - timedelta(days=7))
    assert not GapRepair.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("coinbase:BTC-USDT", *SPAN), "Near names: coinbase:BTC-USD"),
        (("BTC/USD", *SPAN), "ambiguous"),
        ((SYMBOL, "--from", "2026-10-02", "--to", "2026-10-01"), "--from must be before --to"),
        ((SYMBOL, "--from", "yesterday"), "not a time between 2000 and 2100"),
    ],
)
def test_a_bad_argument_is_named(market: Market, arguments: tuple[str, ...], words: str) -> None:
    for name in ("backfill", "gaps", "verify"):
        with pytest.raises(CommandError, match=words):
            run(name, *arguments)


def test_a_bar_without_a_total_is_empty() -> None:
    assert bar(3, None) == "[" + "." * 30 + "] 3 of ? pages"


def test_gaps_are_listed_with_what_is_done_about_them(market: Market) -> None:
    hour = timedelta(hours=1)
    for at in (1, 3, 5):
        Coverage.objects.create(
            market=market, source="provider", resolution=60, start=DAY + at * hour, stop=DAY + (at + 1) * hour
        )
    hole = {"market": market, "resolution": 60}
    GapRepair.objects.create(**hole, start=DAY, stop=DAY + hour, reason="older than the provider keeps", final=True)
    GapRepair.objects.create(**hole, start=DAY + 2 * hour, stop=DAY + 3 * hour, reason="x", attempts=2, next_try=DAY)
    FetchRequest.objects.create(**hole, start=DAY + 4 * hour, stop=DAY + 5 * hour, purpose=1)
    lines = run("gaps", SYMBOL, *SPAN).splitlines()
    assert "4 gaps, 21:00:00 in all" in lines[0]
    assert [line.split("  ")[-1] for line in lines[2:]] == [
        "final: older than the provider keeps",
        "2 tries, next 2026-10-01 00:00:00",
        "waits for a Coordinator: there is none: does run_coordinator run?",
        "not requested yet",
    ]


def fetch_of(market: Market, **values: Any) -> FetchRequest:
    return FetchRequest.objects.create(
        market=market, resolution=60, start=DAY, stop=DAY + timedelta(days=1), purpose=1, **values
    )


def work() -> str:
    """Return what `gaps` says is done about the one gap of DAY."""
    return run("gaps", SYMBOL, *SPAN).splitlines()[-1].split("  ")[-1]


def test_a_gap_is_being_fetched_only_while_a_job_holds_the_lease(market: Market, coordinator: Coordinator) -> None:
    job = {"state": "fetching", "worker": "producer-history-2@7"}
    held = fetch_of(market, **job, lease_until=timezone.now() + timedelta(minutes=1))
    assert work() == "being fetched by producer-history-2"
    FetchRequest.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert work() == "waits to be handed out again: producer-history-2 gave no sign of life"
    FetchRequest.objects.update(state="queued", lease_until=None, error="the provider answers HTTP 503")
    assert work() == "queued: the provider answers HTTP 503"
    FetchRequest.objects.update(state="published")
    assert work().startswith("fetched, waits to be stored: there is no fixed-candle-… row")
    held.delete()
    assert work() == "not requested yet"


def test_a_gap_that_waits_for_a_person_names_the_actor_and_what_to_do(market: Market, coordinator: Coordinator) -> None:
    Producer.objects.create(role="producer-history", name="producer-history-1")
    with Producer.locked("producer-history-1") as producer:
        producer.fetch_data()
        producer.fetch_failure(reason="API key required")
    fetch_of(market)
    said = work()
    assert said.startswith("waits for the history pool: producer-history-1 is in Error (")
    assert "API key required" in said and "manage.py reset_actor producer-history-1" in said
    assert said in " ".join(overview(400).split()), "status says the same"
    (shown,) = requests_shown(market)["fetches"]
    assert shown["waits_for"] == said


def requests_shown(market: Market) -> Any:
    fetch = FetchRequest.objects.get()
    made = DatastoreRequest.objects.create(name="x", market=market.symbol, timeframe="1m", fetches=[fetch.pk])
    return request_json(made)


def test_a_span_without_gaps_says_so(market: Market) -> None:
    Coverage.objects.create(market=market, source="provider", resolution=60, start=DAY, stop=DAY + timedelta(days=1))
    assert "no gap" in run("gaps", SYMBOL, *SPAN)
    assert "1 gap" in run("gaps", SYMBOL)  # the newest 1,500 minutes


@pytest.mark.django_db(transaction=True)  # aggregates are refreshed outside of transactions
def test_verify_finds_a_candle_that_is_not_what_its_trades_make(market: Market) -> None:
    at = records.micros(timezone.now() - timedelta(minutes=3))
    store_live([records.trade(1, at, "5", "1", market=SYMBOL)])
    span = ("--from", str((timezone.now() - timedelta(days=1)).date()), "--to", "2099-01-01")
    assert "every checked candle matches its trades" in run("verify", SYMBOL, *span)
    Candle.objects.filter(resolution=60).update(close="6")
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 candle of coinbase:BTC-USD"):
        run("verify", SYMBOL, *span, to=out)
    assert "60 s: stored 5 5 5 6" in out.getvalue()


def provider_day(market: Market) -> None:
    """Store what the provider gave for two minutes of DAY, of which we hold no trade."""
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), 1)
    for minute in range(2):
        at = DAY + minute * timedelta(minutes=1)
        ProviderCandle.objects.create(market=market, resolution=60, open_time=at, version=1, **numbers)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_filled", [False, True])
def test_verify_of_a_day_without_a_trade_says_that_nothing_was_checked(market: Market, is_filled: bool) -> None:
    if is_filled:
        provider_day(market)
    out = io.StringIO()
    with pytest.raises(CommandError, match="nothing was checked") as raised:
        run("verify", SYMBOL, *SPAN, to=out)
    assert raised.value.returncode == 2
    assert "0 candles checked, from 0 trades" in out.getvalue()
    why = "2 candles cannot be checked: they are the provider's" if is_filled else "No trade and no candle"
    assert why in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_verify_counts_what_it_checked_and_what_it_cannot_check(market: Market) -> None:
    day = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
    store_live([records.trade(n, records.micros(day) + n * records.MINUTE, market=SYMBOL) for n in range(1, 4)])
    store_live([records.trade(4, records.micros(day + timedelta(days=1)), market=SYMBOL)])
    delete_old_trades(market, day + timedelta(days=2), days=1)
    said = run("verify", SYMBOL, "--from", str(day.date()), "--to", str((day + timedelta(days=2)).date()))
    assert "3 candles checked, from 1 trade" in said, "a minute, its hour and its day"
    assert "5 candles cannot be checked: their trades are no longer kept" in said
    assert "compared 0 minutes with the provider's" in said


@pytest.mark.django_db(transaction=True)
def test_the_nightly_verification_warns_where_it_checked_nothing(market: Market) -> None:
    before = VERIFIED.labels(SYMBOL)._value.get()
    with capture_logs() as logs:
        verify()
    assert {one["event"] for one in logs} == {"nothing to verify", "no candle verified"}
    store_live([records.trade(1, records.micros(timezone.now() - timedelta(minutes=3)), market=SYMBOL)])
    with capture_logs() as logs:
        verify()
    checked = {one["market"]: (one["event"], one["checked"]) for one in logs}
    assert checked == {SYMBOL: ("candles verified", 3), "kraken:BTC-USD": ("nothing to verify", 0)}
    assert VERIFIED.labels(SYMBOL)._value.get() == before + 3


@pytest.mark.django_db(transaction=True)  # aggregates are refreshed outside of transactions
def test_verify_heals_when_asked_to(market: Market) -> None:
    at = records.micros(timezone.now() - timedelta(minutes=3))
    store_live([records.trade(1, at, "5", "1", market=SYMBOL)])
    before = digest(market)
    Candle.objects.filter(resolution=60).update(close="6")
    Candle.objects.filter(resolution=86400).delete()
    told = run("verify", SYMBOL, "--from", str((timezone.now() - timedelta(days=1)).date()), "--heal")
    assert "Healed 2 of 2 candles." in told and "every checked candle matches its trades" in told
    assert digest(market) == before


def test_an_added_market_is_followed_and_its_newest_history_asked_for_once(market: Market) -> None:
    for _ in range(2):
        assert "kraken:SOL-EUR is followed; requested of its history: 3 spans" in run("add_market", "kraken:SOL-EUR")
    added = Market.objects.get(symbol="kraken:SOL-EUR")
    assert added.followed
    assert sorted(FetchRequest.objects.filter(market=added).values_list("resolution", flat=True)) == [60, 3600, 86400]


def test_a_market_that_the_provider_does_not_list_is_refused_with_near_names(market: Market) -> None:
    save_pair_list("cryptocompare", [Listed("Kraken", "SOL", "EUR")])
    with pytest.raises(CommandError, match=r"no market 'kraken:SOL-USD'. Near names: kraken:SOL-EUR"):
        run("add_market", "kraken:SOL-USD")
    assert "kraken:SOL-EUR is followed" in run("add_market", "SOL/EUR")


def test_a_market_that_is_let_go_keeps_its_row(market: Market) -> None:
    assert run("add_market", "--unfollow", SYMBOL) == f"{SYMBOL} is no longer followed.\n"
    assert run("add_market", "--unfollow", SYMBOL) == f"{SYMBOL} was not followed.\n"
    assert not Market.objects.get(symbol=SYMBOL).followed


def test_a_market_that_is_no_symbol_is_refused(market: Market) -> None:
    with pytest.raises(CommandError, match="exchange:BASE-QUOTE"):
        run("add_market", "BTC/USD")
