"""A recording through a venue's own protocol: its ids, its digits, its candles."""

from __future__ import annotations

import csv
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.answers import CandlePage, CandlesAsked, TradeMark, TradesAsked
from ingestion.providers.binance.provider import PROVIDER as BINANCE
from ingestion.providers.coinbase.provider import PROVIDER as COINBASE
from ingestion.providers.events import Garbage, TradeSeen
from ingestion.providers.kraken.provider import PROVIDER as KRAKEN
from ingestion.providers.okx.provider import PROVIDER as OKX
from ingestion.providers.port import Provider
from tests.support.simulator import Simulator, running_venues
from tests.support.venue_client import connected, read_candles, trade_pages, trades_of

pytestmark = pytest.mark.slow

START = 1_762_795_440_000_000_000
MADE = [(START + at * 10**6, 900_000_000_001 + number, f"{100 + number % 3}.50", f"0.0{number + 1}0", number % 2 == 0)
        for number, at in enumerate([0, 0, 0, 500, 61_000, 61_000, 190_000])]  # fmt: skip
RECORDINGS = Path(os.environ.get("RECORDINGS", "nowhere"))
VENUES = [
    (COINBASE, "coinbase:BTC-USD", "BTC-USD"),
    (BINANCE, "binance:BTC-USDT", "BTCUSDT"),
    (KRAKEN, "kraken:XBT-USDT", "BTC/USDT"),
    (OKX, "okx:BTC-USDT", "BTC-USDT"),
]


def made(folder: Path) -> Path:
    lines = ["time_ns,trade_id,price,amount,side"]
    lines += [f"{ns},{id},{price},{amount},{'sell' if sell else 'buy'}" for ns, id, price, amount, sell in MADE]
    (folder / "made.csv").write_text("\n".join(lines))
    return folder / "made.csv"


def replay(simulator: Simulator, provider: Provider, sub: str, last: int) -> tuple[list[TradeSeen], list[TradeSeen]]:
    """Return what the socket sends up to the recording's last trade, and what the pages have then."""
    venue = simulator.venue(provider.name)
    with connected(provider, venue, timeout=120) as client:
        client.subscribe(sub)
        client.until(TradeSeen, lambda trade: trade.last == last)
        assert not any(isinstance(event, Garbage) for event in client.events)
        sent = client.trades(sub)
    mark = TradeMark(int(sent[0].id) - 1, sent[0].ts, (sent[0].first or 0) - 1)
    return sent, trades_of(trade_pages(provider, venue, TradesAsked(sub, mark)))


@pytest.mark.parametrize(("provider", "market", "sub"), VENUES, ids=["coinbase", "binance", "kraken", "okx"])
def test_a_recording_is_sent_and_paged_to_the_digit(tmp_path: Path, provider: Provider, market: str, sub: str) -> None:
    # Three seconds pass before the first trade, which is sent only to those who have subscribed by then.
    options = (market, "--speed", "20", "--no-limits", "--replay", str(made(tmp_path)), "--replay-lead", "60")
    with running_venues(tmp_path / "home", *options) as simulator:
        sent, paged = replay(simulator, provider, sub, MADE[-1][1])
        shift = sent[0].ts - START // 1000
        assert shift % (60 * SECOND_US) == 0
        assert [(t.id, t.price, t.amount) for t in sent] == [(t.id, t.price, t.amount) for t in paged]
        rows = [(ns // 1000 + shift, Decimal(price), -1 if sell else 1) for ns, _, price, _, sell in MADE]
        assert [(trade.ts, trade.price, trade.side) for trade in sent] == rows
        assert [trade.first for trade in sent] == [id for _, id, *_ in MADE]
        simulator.wait_until(sent[-1].ts / SECOND_US + 70)
        start = sent[0].ts // (60 * SECOND_US) * 60 * SECOND_US
        page = read_candles(
            provider, simulator.venue(provider.name), CandlesAsked(sub, 60, start, start + 240 * SECOND_US)
        )
    assert isinstance(page, CandlePage)
    volumes = {row.time: row.volume for row in page.rows}
    assert volumes[start // SECOND_US] == Decimal("0.100") and volumes[start // SECOND_US + 60] == Decimal("0.110")
    assert volumes.get(start // SECOND_US + 120, 0) == 0


def test_a_recording_whose_ids_do_not_rise_is_no_venues(tmp_path: Path) -> None:
    path = made(tmp_path)
    path.write_text(path.read_text().replace("900000000007", "7"))
    refusal = pytest.raises(RuntimeError, match="ids do not rise with its times: coinbase:BTC-USD")
    with refusal, running_venues(tmp_path / "home", "coinbase:BTC-USD", "--replay", str(path)):
        pass


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="set RECORDINGS to a folder of real recordings")
def test_real_trades_of_binance_are_sent_and_paged_to_the_digit(tmp_path: Path) -> None:
    path = RECORDINGS / "binance-BTCUSDT-trades.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    options = ("binance:BTC-USDT", "--no-limits", "--speed", "20", "--replay", str(path), "--replay-lead", "60")
    with running_venues(tmp_path, *options) as simulator:
        sent, paged = replay(simulator, BINANCE, "BTCUSDT", int(rows[-1]["trade_id"]))
    assert [(t.id, t.first, t.last, t.price, t.amount, t.ts, t.side) for t in sent] == [
        (t.id, t.first, t.last, t.price, t.amount, t.ts, t.side) for t in paged
    ]
    assert sum(trade.amount for trade in sent) == sum(Decimal(row["amount"]) for row in rows)
    assert sent[0].first == int(rows[0]["trade_id"])


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="set RECORDINGS to a folder of real recordings")
def test_candles_of_krakens_real_trades_are_krakens_own(tmp_path: Path) -> None:
    path = RECORDINGS / "kraken-XBTUSDT-trades.csv"
    options = ("kraken:XBT-USDT", "--no-limits", "--replay", str(path))
    with running_venues(tmp_path, *options):
        state = json.loads((tmp_path / "state.json").read_text())
    state["clock"]["sim_ns"] += 8 * 3600 * 10**9  # when all of it has been traded
    (tmp_path / "state.json").write_text(json.dumps(state))
    shift = state["replay"]["shift_minutes"] * 60
    theirs = json.loads((RECORDINGS / "kraken-XBTUSDT-rest-ohlc.json").read_text())["result"]["XBTUSDT"]
    recorded = list(csv.DictReader(path.read_text().splitlines()))
    with running_venues(tmp_path, *options) as simulator:
        start = (int(recorded[0]["time_ns"]) // 60_000_000_000 * 60 + shift) * SECOND_US
        page = read_candles(KRAKEN, simulator.venue("kraken"), CandlesAsked("BTC/USDT", 60, start, start + 1))
        paged = trades_of(
            trade_pages(KRAKEN, simulator.venue("kraken"), TradesAsked("BTC/USDT", TradeMark(0, start, 0)))
        )
    assert isinstance(page, CandlePage)
    ours = {row.time - shift: row for row in page.rows}
    # Of the first and the last minute the recording has only a part.
    whole = [row for row in theirs if start // SECOND_US - shift < row[0] < int(recorded[-1]["time_ns"]) // 10**9 - 60]
    assert len(whole) > 400
    for time, opened, high, low, close, average, volume, count in whole:
        row = ours[time]
        texts = (opened, high, low, close, volume)
        assert (row.open, row.high, row.low, row.close, row.volume) == tuple(map(Decimal, texts))
        assert row.trades == count and average
    assert [(trade.id, trade.price, trade.amount) for trade in paged] == [
        (row["trade_id"], Decimal(row["price"]), Decimal(row["amount"])) for row in recorded
    ]
