"""A day of 600,000 trades that is missing between two stored ones, refilled from the simulator by its ids.

The fill is the one that a hole begins by itself: history Producer, topic, consumer, ids. Neither the simulator nor our
own quota limits it here; how long the calls take under the venue's limits is computed from its traits. OKX has 100
trades a page, the others 1,000 rows; a row of Binance may hold several trades.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from threading import Event
from typing import Any

from django.conf import settings
from django.db import transaction

from benchmarks.platform import temporary_home
from benchmarks.venue_feed import children, prepare_database
from datastore.reference.provider_registry import register
from datastore.reference.traits import Limits, Proof, Traits
from datastore.wording import counted
from ingestion.providers.table import PROVIDERS
from streaming.records import Trade
from tests.support.polling import PATIENT_S, until
from tests.support.simulator import Simulator, running

TRADES, DAY_S = 600_000, 86_400
MARKETS = {
    "coinbase": "coinbase:BTC-USD",
    "binance": "binance:BTC-USDT",
    "kraken": "kraken:BTC-USD",
    "okx": "okx:BTC-USDT",
}
SHARES = {"binance": 6, "kraken": 6, "okx": 6}  # of the day only a sixth is refilled, which tells the rate as well
EDGE_S = 60  # of the day's ends, in which the trades around the hole are looked for
START_S, LIMIT_S = 5.0, 900.0


def run() -> Iterator[str]:
    """Refill one day of a venue, and parts of it of the others."""
    yield f"a day of {TRADES:,} trades or a sixth of it, missing between two stored ones"
    for venue, market in MARKETS.items():
        yield _measure(venue, market)


def _measure(venue: str, symbol: str) -> str:
    options = ("--markets", symbol, "--venues", venue, "--rate", f"{TRADES / DAY_S:.4f}", "--no-limits")
    with temporary_home() as home, running(home, *options) as simulator:
        for name, value in simulator.venue(venue).settings.items():
            setattr(settings, name, value)
        prepare_database(venue, [symbol])
        with _unlimited(venue):
            missing = _store_ends(simulator, symbol, DAY_S // SHARES.get(venue, 1))
            seconds, calls = _refill(venue)
    allowed, window = _allowed_s(PROVIDERS[venue].traits, calls)
    limit = f"computed: {_length(allowed)} at the venue's {window}"
    rate = f"{missing / seconds:>8,.0f} trades/s, {missing:,} in {_length(seconds)}, {calls:,} calls"
    return f"  {venue:<10}{rate}; {limit}"


@contextmanager
def _unlimited(venue: str) -> Iterator[None]:
    """Let a venue's calls have no limit here, and its ids prove, as those of OKX do by a setting."""
    provider = PROVIDERS[venue]
    traits = replace(provider.traits, limits=Limits(calls=()), proofs=(Proof.IDS, Proof.CONNECTION, Proof.CANDLE))
    PROVIDERS[venue] = replace(provider, traits=traits)
    register([traits])
    try:
        yield
    finally:
        PROVIDERS[venue] = provider
        register([provider.traits])


def _store_ends(simulator: Simulator, symbol: str, length_s: int) -> int:
    """Store the trades around so many seconds; return how many are missing between them."""
    from datastore.ingest.live_write import store_live

    stop = int(simulator.now()) - 2 * EDGE_S
    before, *_ = _trades(simulator, symbol, stop - length_s - EDGE_S)
    *_, after = _trades(simulator, symbol, stop)
    records = [_record(symbol, place, row) for place, row in enumerate((before, after), start=1)]
    with transaction.atomic():
        store_live(records)
    return int(after[1]) - int(before[2]) - 1


def _trades(simulator: Simulator, symbol: str, start: int) -> list[list[Any]]:
    """Return the trades of a minute from this second on: id, first, last, ns, price, amount, side."""
    span = f"from={start * 10**9}&to={(start + EDGE_S) * 10**9}"
    return sorted(simulator.get(f"/control/trades?market={symbol}&{span}")["trades"])


def _record(symbol: str, n: int, row: list[Any]) -> Trade:
    id, first, last, ns, price, amount, side = row
    step = 1000 if symbol.startswith(("binance", "okx")) else 1  # microseconds that the venue's pages tell apart
    return Trade(
        market=symbol,
        feed="tick-data/benchmark",
        n=n,
        ts=ns // 1000 // step * step,
        seq=int(id),
        id=str(id),
        price=Decimal(price),
        amount=Decimal(amount),
        side=1 if side == "buy" else -1,
        received_at=ns // 1000,
        first=first,
        last=last,
    )


def _refill(venue: str) -> tuple[float, int]:
    """Let the hole be filled; return the seconds until every trade is stored, and the calls."""
    from datastore.backfill.trade_fill import request_fills
    from datastore.models import FetchRequest, IdRange
    from ingestion.history.history_producer_actor import fetch

    consumer = ["manage.py", "run_fixed_consumer", "--topic", "tick-data"]
    with children({"consumer": consumer}, {"PROVIDERS": venue, "OKX_IDS_PROVE": "1"}):
        time.sleep(START_S)
        (request,) = request_fills()
        request.next_try = None
        request.save()
        began = time.perf_counter()
        fetch(request.pk, Event())
        until("all is stored", lambda: IdRange.objects.count() == 1, LIMIT_S, longest_pause=PATIENT_S)
        return time.perf_counter() - began, FetchRequest.objects.get(pk=request.pk).pages_done


def _allowed_s(traits: Traits, calls: int) -> tuple[float, str]:
    """Return how long so many calls for trades take at the pace that the venue allows, and by which of its limits."""
    from ingestion.providers.answers import TradesAsked

    weight = PROVIDERS[traits.name].history.trades_request(TradesAsked("BTC", None)).weight
    paces = [
        (calls * window.seconds / window.limit, f"{counted(window.limit, 'call')} in {window.seconds} s")
        for window in traits.limits.calls
    ]
    paces += [
        (calls * weight * window.seconds / window.limit, f"weight of {window.limit:,} in {window.seconds} s")
        for window in traits.limits.weights
    ]
    return max(paces)


def _length(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"
