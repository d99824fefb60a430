"""Our closed minutes against those of a real simulator: the same trades must make the same candles."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django_redis import get_redis_connection

from actor_runtime.models import ERROR
from datastore.db.queries import execute
from datastore.ingest.live_write import digest, store_live
from datastore.models import Candle, CandleDifference, Coverage, Market, ProviderClock, Reconciliation
from datastore.quality.reconciliation import CandleValues, MinutePair, compare, next_span
from datastore.reference.markets import ensure_markets
from datastore.reference.provider import remember_provider
from datastore.reference.provider_clock import save_clock, steady_now
from datastore.timeframes.intervals import moment
from ingestion.history.provider_quota import quota_of
from ingestion.history.reconciliation import reconcile
from ingestion.models import Producer
from ingestion.providers.cryptocompare.traits import TRAITS
from ingestion.tasks import reconcile as task
from metering.table import DIFFERENCES, RECONCILED
from simulator import pairs
from simulator.market import Market as Venue
from streaming.records import LiveRecord
from tests.support.datastore.records import BTC, MINUTE, SECOND, micros, opened, trade, watermark
from tests.support.simulator import Simulator, running

pytestmark = pytest.mark.django_db(transaction=True)
RATE = 0.5


@dataclass
class Bench:
    """A market whose last minutes were watched live, and the simulator that watched them too."""

    simulator: Simulator
    market: Market
    first: int  # minute
    last: int  # minute, excluded

    def calls(self) -> int:
        counts: dict[str, int] = self.simulator.get("/control/stats")["rest_calls"]
        return sum(count for path, count in counts.items() if "histo" in path)


def watched(first: int, last: int, n: int = 0) -> list[LiveRecord]:
    """Return what a feed brings of the simulator's own trades of these minutes."""
    venue = Venue(pairs.Pair("coinbase", "BTC", "USD"), 1, RATE)
    start = first * MINUTE
    found: list[LiveRecord] = [opened(n + 1, start)]
    for minute in range(first, last):
        for one in venue.trades(minute):
            found.append(
                trade(
                    n + len(found) + 1,
                    one.ts // 1000,
                    one.price_text,
                    one.amount_text,
                    id=one.id,
                    seq=one.ccseq,
                    received_at=one.rts // 1000,
                )
            )
    return [*found, watermark(n + len(found) + 1, last * MINUTE, start)]


@pytest.fixture
def bench(tmp_path: Path, settings: Any) -> Iterator[Bench]:
    with running(tmp_path, "--markets", BTC, "--rate", str(RATE), "--retention-days", "1") as simulator:
        settings.CRYPTOCOMPARE_REST_URL = simulator.rest_url
        forget_budget()
        (market,) = ensure_markets([BTC])
        now = round(simulator.now() * SECOND)
        remember_provider("cryptocompare", f"simulator/seed=1/rate={RATE:g}", True)
        execute("delete from provider_clock where clock_offset is not null")
        save_clock("cryptocompare", timedelta(microseconds=now - micros(steady_now())))
        last = now // MINUTE - 3
        store_live(watched(last - 30, last))
        yield Bench(simulator, market, last - 30, last)
    forget_budget()


def forget_budget() -> None:
    get_redis_connection("default").delete("ck:budget:history:calls", "ck:budget:history:pause")


def counted(counter: Any) -> float:
    return float(counter.labels(BTC)._value.get())


def verify(bench: Bench) -> str:
    out = io.StringIO()
    span = (moment((bench.first - 60) * MINUTE).isoformat(), moment(bench.last * MINUTE).isoformat())
    try:
        call_command("verify", BTC, "--from", span[0], "--to", span[1], stdout=out)
    except CommandError as exc:
        out.write(f"exit 1: {exc}")
    return out.getvalue()


def test_minutes_of_the_same_trades_are_the_providers_and_are_compared_once(bench: Bench) -> None:
    before = counted(RECONCILED)
    task()
    row = Reconciliation.objects.get()
    assert (row.start, row.stop) == (moment(bench.first * MINUTE), moment(bench.last * MINUTE))
    assert (row.compared, row.different, row.note) == (30, 0, "")
    assert counted(RECONCILED) == before + 30
    assert next_span(bench.market, 2000) is None
    task()
    assert Reconciliation.objects.count() == 1 and bench.calls() == 1, "nothing new: nothing is asked"
    assert "no difference from the provider is known" in verify(bench)


def test_a_candle_that_is_not_the_providers_is_kept_told_and_left_as_it_is(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    at = moment((bench.first + 7) * MINUTE)
    wrong = Candle.objects.filter(market=bench.market, resolution=60, open_time=at)
    wrong.update(high=Decimal(999_999))
    held, before = digest(bench.market), counted(DIFFERENCES)
    task()
    row = Reconciliation.objects.get()
    assert (row.compared, row.different) == (30, 1)
    (found,) = CandleDifference.objects.all()
    assert found.ours is not None and found.theirs is not None
    assert found.open_time == at and found.ours[1] == "999999" and found.theirs[1] != "999999"
    assert digest(bench.market) == held, "no candle is changed"
    assert counted(DIFFERENCES) == before + 1
    assert "candle differs from the provider's" in caplog.text
    told = verify(bench)
    assert f"{at:%Y-%m-%d %H:%M} 60 s: stored" in told
    assert "exit 1: 1 candle of" in told and "1 minute of coinbase:BTC-USD: not what the provider has" in told
    wrong.update(high=Decimal(found.theirs[1]))
    assert "no difference from the provider is known" in verify(bench), "it has been mended since"


def test_a_trade_that_we_lack_shows_in_the_volumes(bench: Bench) -> None:
    at = moment((bench.first + 3) * MINUTE)
    rows = Candle.objects.filter(market=bench.market, resolution=60, open_time=at)
    rows.update(volume=rows.get().volume * Decimal("1.001"))
    task()
    assert [one.open_time for one in CandleDifference.objects.all()] == [at]


def test_a_minute_that_we_lack_whole_is_a_difference_without_our_side(bench: Bench) -> None:
    at = moment((bench.first + 3) * MINUTE)
    Candle.objects.filter(market=bench.market, resolution=60, open_time=at).update(trades=0)
    task()
    different = {one.open_time: one.ours for one in CandleDifference.objects.all()}
    assert different[at] is None


def test_only_minutes_that_our_feed_proves_are_compared(bench: Bench) -> None:
    proven = moment((bench.first + 10) * MINUTE), moment((bench.first + 12) * MINUTE)
    Coverage.objects.update(stop=proven[1])
    execute("update coverage set start = %s", [proven[0]])  # a part of the key
    task()
    row = Reconciliation.objects.get()
    assert (row.start, row.compared) == (moment((bench.first + 10) * MINUTE), 2)


def test_a_long_time_is_compared_two_thousand_minutes_at_a_time_the_oldest_first(bench: Bench) -> None:
    start = (bench.last - 3000) * MINUTE
    store_live([opened(90_001, start), watermark(90_002, bench.last * MINUTE, start)])
    found = next_span(bench.market, 2000)
    assert found == (moment(start), moment(start + 2000 * MINUTE))
    compare(bench.market, *found, {})
    assert next_span(bench.market, 2000) == (moment(start + 2000 * MINUTE), moment(bench.last * MINUTE))


@pytest.mark.parametrize("fault", ["error", "unauthorized", "ratelimit"])
def test_a_provider_that_is_away_is_asked_again_at_the_next_run_and_nothing_is_claimed(
    bench: Bench, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench.simulator.fault(fault, seconds=60)
    task()
    assert not Reconciliation.objects.exists()
    assert "reconciliation waits" in caplog.text
    bench.simulator.fault("reset")
    forget_budget()
    task()
    assert Reconciliation.objects.get().compared == 30


def test_a_provider_that_does_not_answer_at_all_stops_the_run(bench: Bench) -> None:
    bench.simulator.stop()
    task()
    assert not Reconciliation.objects.exists()


def test_another_provider_is_not_compared_with(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    ProviderClock.objects.update(identity="simulator/seed=99")
    task()
    assert not Reconciliation.objects.exists()
    assert "holds data of 'simulator/seed=99'" in caplog.text


def test_history_goes_first_where_the_budget_is_short(bench: Bench, settings: Any) -> None:
    settings.PROVIDER_CALLS_PER_HOUR = 4
    for _ in range(3):
        quota_of(TRAITS).take()
    task()
    assert bench.calls() == 0 and not Reconciliation.objects.exists()


def test_a_key_that_is_refused_is_not_tried_by_the_reconciliation_either(bench: Bench) -> None:
    Producer.objects.create(role="producer-history", name="producer-history-1", last_error="refused")
    with Producer.locked("producer-history-1") as producer:
        producer.fetch_data()
        producer.fetch_failure(reason="refused")
    assert Producer.objects.get().state == ERROR
    task()
    assert bench.calls() == 0


def test_a_cache_that_is_away_stops_the_run(bench: Bench, settings: Any) -> None:
    reachable = settings.CACHES
    settings.CACHES = {"default": {**reachable["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    reconcile(Event())
    settings.CACHES = reachable
    assert not Reconciliation.objects.exists()


def test_what_the_provider_no_longer_keeps_is_noted_and_not_asked_for_again(bench: Bench) -> None:
    old = (bench.last - 2 * 24 * 60) * MINUTE
    store_live([opened(90_001, old), watermark(90_002, old + 5 * MINUTE, old)])
    task()
    row = Reconciliation.objects.get()
    assert (row.start, row.stop, row.compared) == (moment(old), moment(old + 5 * MINUTE), 0)
    assert "only available for the last 1 days" in row.note
    task()
    assert Reconciliation.objects.latest("pk").compared == 30
    assert bench.calls() == 2


ONE = CandleValues(Decimal(10), Decimal(12), Decimal(9), Decimal(11), Decimal(5), Decimal(55))


@pytest.mark.parametrize(
    ("field", "value", "prior", "same"),
    [
        ("open", "10", None, True),
        ("open", "99", None, True),  # the provider's open is the close before, which is not known here
        ("open", "99", "99", True),
        ("open", "10", "99", False),
        ("high", "12.01", None, False),
        ("low", "9.01", None, False),
        ("close", "11.01", None, False),
        ("volume", "5.0000049", None, True),  # sums of floats
        ("volume", "5.00001", None, False),
        ("quote_volume", "54.99996", None, True),
        ("quote_volume", "54.9", None, False),
    ],
)
def test_figures_are_the_same_by_the_providers_traits(field: str, value: str, prior: str | None, same: bool) -> None:
    theirs = CandleValues(**{name: getattr(ONE, name) for name in ONE.__slots__} | {field: Decimal(value)})
    assert MinutePair(0, ONE, theirs, Decimal(prior) if prior else None, TRAITS.candles).same is same


def test_nothing_traded_is_the_same_as_nothing_traded_only() -> None:
    assert MinutePair(0, None, None, None, TRAITS.candles).same
    assert not MinutePair(0, ONE, None, None, TRAITS.candles).same
    assert not MinutePair(0, None, ONE, None, TRAITS.candles).same
