"""Recorded trades come out as they are in the file, some whole minutes later."""

from __future__ import annotations

import os
from collections import defaultdict
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from simulator.pairs import Pair
from simulator.replay import Recording, Replay
from simulator.trades import MINUTE_NS, SECOND_NS
from tests.support.simulator import running

HEADER = "time_ns,trade_id,price,amount,side\n"
START = 1_772_511_840_000_000_000
ROWS = [
    (START + 5 * SECOND_NS, 7, "98433.70000", "0.00027499999999999997", "buy"),
    (START + 5 * SECOND_NS + 300, 8, "98410.20000", "0.00005", "sell"),
    (START + 61 * SECOND_NS, 9, "98383.90000", "0.00013570", "buy"),
    (START + 190 * SECOND_NS, 10, "98390", "1", "sell"),
]
BINANCE, KRAKEN = Pair.parse("binance:BTC-USDT"), Pair.parse("kraken:BTC-USDT")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trades.csv"
    path.write_text(HEADER + "".join(",".join(map(str, row)) + "\n" for row in ROWS))
    return path


def test_every_trade_keeps_its_digits_and_moves_by_whole_minutes(file: Path) -> None:
    replay = Replay(BINANCE, Recording(file), shift=1000)
    trades = replay.between(0, START * 2)
    assert [(t.ts - 1000 * MINUTE_NS, int(t.id), t.price_text, t.amount_text) for t in trades] == [r[:4] for r in ROWS]
    assert [trade.sell for trade in trades] == [False, True, False, True]
    assert [trade.ccseq for trade in trades] == list(range(1_000_001, 1_000_005))


def test_its_candles_are_exact_sums_and_empty_minutes_are_none(file: Path) -> None:
    replay = Replay(KRAKEN, Recording(file), shift=0)
    bar = replay.bar(START // MINUTE_NS)
    assert bar is not None and bar.trades == 2
    scale = Decimal(1).scaleb(-replay.amount_places)
    assert bar.volume * scale == Decimal("0.00032499999999999997")
    exact = 98433_70000 * 27499999999999997 * 10**0 + 98410_20000 * 5000000000000000
    assert bar.quote_volume == exact
    assert replay.bar(START // MINUTE_NS + 2) is None
    assert replay.traded_before(START // MINUTE_NS + 3) == START // MINUTE_NS + 1
    hour = replay.hour(START // MINUTE_NS // 60)
    assert hour is not None and hour.trades == 4


def test_there_is_nothing_before_and_nothing_after(file: Path) -> None:
    replay = Replay(KRAKEN, Recording(file), shift=0)
    assert replay.newest(20, START) == []
    assert len(replay.newest(20, START + 3600 * SECOND_NS)) == 4
    assert replay.between(START + 300 * SECOND_NS, START + 10**6 * SECOND_NS) == []
    assert replay.traded_before(START // MINUTE_NS) is None


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,2\n", HEADER, HEADER + "1,2,x,1,buy\n", HEADER + "1,2,NaN,1,buy\n", HEADER + "1,2,1\n"],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"bad\.csv"):
        Recording(path)


@pytest.mark.slow
def test_a_replayed_market_sends_the_file_and_rolls_it_up(file: Path, tmp_path: Path) -> None:
    options = ("--markets", "coinbase:ETH-USD,kraken:BTC-USDT", "--replay", str(file), "--speed", "20")
    replayed = ("--replay-market", "kraken:BTC-USDT", "--replay-lead", "50")
    with running(tmp_path / "home", *options, *replayed) as simulator, simulator.connect() as client:
        client.ask("SubAdd", "0~Kraken~BTC~USDT")
        assert [frame["TYPE"] for frame in client.until("3")] == ["20", "16", "3"]
        trades = [client.until("0")[-1] for _ in ROWS]
        assert [(t["ID"], t["P"], t["Q"]) for t in trades[:3]] == [(str(r[1]), r[2], r[3]) for r in ROWS[:3]]
        shift = trades[0]["TS"] * SECOND_NS + trades[0]["TSNS"] - ROWS[0][0]
        assert shift % MINUTE_NS == 0
        assert [t["TS"] * SECOND_NS + t["TSNS"] - shift for t in trades] == [row[0] for row in ROWS]
        start = (START + shift) // SECOND_NS
        simulator.wait_until(start + 240 + 110)
        path = f"/data/v2/histominute?fsym=BTC&tsym=USDT&e=Kraken&limit=5&toTs={start + 240}"
        answer, headers = simulator.exchange(path)[1:]
    rows = answer["Data"]["Data"]
    assert headers["X-Provider"] == f"simulator/replay/{sha256(file.read_bytes()).hexdigest()}; simulated"
    assert [(row["time"] - start, float(row["close"]), float(row["volumefrom"])) for row in rows] == [
        (-60, 0, 0),
        (0, 98410.2, 0.00032499999999999997),
        (60, 98383.9, 0.0001357),
        (120, 98383.9, 0),
        (180, 98390, 1),
        (240, 98390, 0),
    ]


REAL = Path(os.environ.get("RECORDINGS", "recordings"))


@pytest.mark.skipif(not REAL.exists(), reason="set RECORDINGS to a folder of real recordings")
@pytest.mark.parametrize("name", ["kraken-XBTUSDT-trades.csv", "binance-BTCUSDT-trades.csv"])
def test_real_recordings_roll_up_to_what_decimal_says_of_the_file(name: str) -> None:
    recording = Recording(REAL / name)
    replay = Replay(BINANCE, recording, shift=0)
    volumes: dict[int, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    for row in recording.rows:
        volumes[int(row["time_ns"]) // MINUTE_NS].append((Decimal(row["price"]), Decimal(row["amount"])))
    for minute, trades in volumes.items():
        bar = replay.bar(minute)
        assert bar is not None
        assert bar.trades == len(trades)
        assert Decimal(bar.close).scaleb(-replay.price_places) == trades[-1][0]
        assert bar.volume == sum(int(amount.scaleb(replay.amount_places)) for _, amount in trades)
    assert len(replay.between(0, 10**20)) == len(recording.rows)
