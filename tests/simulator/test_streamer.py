"""The streamer over real sockets: what a subscription brings, and that REST and log agree with it."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.simulator import Client, Simulator, running

BTC, LTC, ETH = "0~Coinbase~BTC~USD", "0~Kraken~LTC~USD", "0~Bitfinex~ETH~BTC"
OPTIONS = ("--speed", "20", "--markets", "coinbase:BTC-USD,kraken:LTC-USD,bitfinex:ETH-BTC")
Frame = dict[str, Any]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running(tmp_path_factory.mktemp("streamer"), *OPTIONS) as simulator:
        yield simulator


@pytest.fixture
def client(simulator: Simulator, request: pytest.FixtureRequest) -> Iterator[Client]:
    with simulator.connect(request.node.name) as client:
        assert client.frame()["MESSAGE"] == "STREAMERWELCOME"
        yield client


def test_the_welcome_tells_the_provider_s_time(simulator: Simulator) -> None:
    before = simulator.now()
    with simulator.connect("welcome") as client:
        welcome = client.frame()
    assert welcome["TYPE"] == "20"
    assert before <= welcome["SERVER_TIME_MS"] / 1000 + 0.001 <= simulator.now()


def test_a_subscription_replays_twenty_trades_and_then_is_complete(client: Client) -> None:
    client.ask("SubAdd", BTC)
    *replayed, complete = client.until("16")
    assert complete == {"TYPE": "16", "MESSAGE": "SUBSCRIBECOMPLETE", "SUB": BTC}
    assert [frame["TYPE"] for frame in replayed] == ["0"] * 20
    numbers = [frame["CCSEQ"] for frame in replayed]
    assert numbers == list(range(numbers[0], numbers[0] + 20))


def test_all_subscriptions_complete_before_the_load_does(client: Client) -> None:
    client.ask("SubAdd", BTC, LTC, ETH)
    frames = client.until("3")
    assert [frame["SUB"] for frame in frames if frame["TYPE"] == "16"] == [BTC, LTC, ETH]
    assert frames[-1]["MESSAGE"] == "LOADCOMPLETE"


def test_live_trades_follow_the_replayed_ones_without_a_gap(client: Client) -> None:
    client.ask("SubAdd", BTC)
    numbers = [frame["CCSEQ"] for frame in client.until("999") if frame["TYPE"] == "0"]
    assert len(numbers) > 30
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_trade_has_the_documented_fields(client: Client) -> None:
    client.ask("SubAdd", BTC, LTC, ETH)
    trades = {frame["M"]: frame for frame in client.until("3") if frame["TYPE"] == "0"}
    everything = ["TYPE", "M", "FSYM", "TSYM", "F", "ID", "TS", "Q", "P", "TOTAL", "RTS", "CCSEQ", "TSNS", "RTSNS"]
    assert list(trades["Coinbase"]) == everything
    assert "CCSEQ" not in trades["Kraken"] and "TSNS" not in trades["Bitfinex"]
    for trade in trades.values():
        assert Decimal(trade["TOTAL"]) == Decimal(trade["P"]) * Decimal(trade["Q"])
        assert trade["F"] in ("1", "2") and trade["RTS"] >= trade["TS"]


def test_a_heartbeat_comes_every_thirty_seconds_and_after_what_was_discovered_before_it(client: Client) -> None:
    client.ask("SubAdd", BTC)
    first, second = client.until("999"), client.until("999")
    assert second[-1]["TIMEMS"] - first[-1]["TIMEMS"] == pytest.approx(30_000, abs=5_000)
    for stretch, heartbeat in ((first + second, second[-1]), (first, first[-1])):
        assert all(_discovered(f) <= heartbeat["TIMEMS"] / 1000 + 0.001 for f in stretch if f["TYPE"] == "0")
    assert all(_discovered(f) > first[-1]["TIMEMS"] / 1000 for f in second if f["TYPE"] == "0")


def _discovered(trade: Frame) -> float:
    return float(trade["RTS"] + trade["RTSNS"] / 1e9)


def test_a_removed_subscription_is_silent(client: Client) -> None:
    client.ask("SubAdd", BTC, LTC)
    client.until("3")
    client.ask("SubRemove", BTC)
    assert client.until("17")[-1]["SUB"] == BTC
    done = client.frame()
    assert (done["TYPE"], done["INFO_OBJ"]) == ("18", {"valid": 1, "invalid": 0})
    assert BTC not in {f"0~{f['M']}~{f['FSYM']}~{f['TSYM']}" for f in client.until("999") if f["TYPE"] == "0"}


@pytest.mark.parametrize(
    ("text", "message", "parameter"),
    [
        ("{", "INVALID_JSON", "message"),
        ("[]", "INVALID_JSON", "message"),
        ('{"action":"Sub","subs":["0~Coinbase~BTC~USD"]}', "INVALID_PARAMETER", "action"),
        ('{"action":"SubAdd","subs":"0~Coinbase~BTC~USD"}', "INVALID_PARAMETER", "subs"),
        ('{"action":"SubAdd","subs":["0~Coinbase~btc~USD"]}', "INVALID_SUB", "0~Coinbase~btc~USD"),
        ('{"action":"SubAdd","subs":["nonsense"]}', "INVALID_SUB", "nonsense"),
        ('{"action":"SubAdd","subs":["5~CCCAGG~BTC~USD"]}', "SUBSCRIPTION_UNRECOGNIZED", "5~CCCAGG~BTC~USD"),
        ('{"action":"SubRemove","subs":["0~Coinbase~BTC~USD"]}', "SUBSCRIPTION_UNRECOGNIZED", BTC),
    ],
)
def test_a_bad_request_is_answered_by_its_error(client: Client, text: str, message: str, parameter: str) -> None:
    client.send(text)
    answer = client.frame()
    assert (answer["TYPE"], answer["MESSAGE"], answer["PARAMETER"]) == ("500", message, parameter)


def test_a_second_subscription_to_the_same_is_refused_and_the_first_goes_on(client: Client) -> None:
    client.ask("SubAdd", "0~coinbase~BTC~USD")
    client.until("3")
    client.ask("SubAdd", BTC)
    assert client.until("500")[-1]["MESSAGE"] == "SUBSCRIPTION_ALREADY_ACTIVE"
    assert client.until("0")


def test_one_socket_per_key_and_no_key_is_a_key_too(simulator: Simulator) -> None:
    for key in ("", "one"):
        with simulator.connect(key) as first, simulator.connect(key) as second:
            assert first.frame()["TYPE"] == "20"
            refusal = second.frame()
            assert (refusal["TYPE"], refusal["MESSAGE"]) == ("429", "TOO_MANY_SOCKETS_MAX_1_PER_CLIENT")
            assert second.closed()


def test_opening_sockets_too_fast_is_refused_for_that_key_only(simulator: Simulator) -> None:
    messages: list[str] = []
    while "RATE_LIMIT_OPENING_SOCKETS_TOO_FAST" not in messages:
        assert len(messages) < 300
        with simulator.connect("hasty") as client:
            messages.append(client.frame()["MESSAGE"])
    assert len(messages) > 30
    with simulator.connect("unhurried") as client:
        assert client.frame()["MESSAGE"] == "STREAMERWELCOME"


def test_closed_minutes_over_rest_equal_the_trades_sent_and_the_log(simulator: Simulator) -> None:
    with simulator.connect("rest") as client:
        client.ask("SubAdd", BTC, LTC, ETH)
        client.until("3")
        start = int(simulator.now()) // 60 * 60 + 60
        sent = _trades_until(client, start + 190)
    simulator.wait_until(start + 60 * 3 + 50)
    for name, (exchange, base, quote) in {s: s.split("~")[1:] for s in (BTC, LTC, ETH)}.items():
        rows = simulator.get(f"/data/v2/histominute?fsym={base}&tsym={quote}&e={exchange}&limit=3&toTs={start + 120}")[
            "Data"
        ]["Data"]
        assert [row["time"] for row in rows] == [start - 60, start, start + 60, start + 120]
        for before, row in itertools.pairwise(rows):
            _assert_row_is(row, before, sent[name, row["time"]])
            assert _logged(simulator, f"{exchange.lower()}:{base}-{quote}", row["time"]) == {
                (t["TS"] * 10**9 + t.get("TSNS", 0), t["ID"]) for t in sent[name, row["time"]]
            }


def _trades_until(client: Client, end: float) -> dict[tuple[str, int], list[Frame]]:
    found: dict[tuple[str, int], list[Frame]] = defaultdict(list)
    while True:
        frame = client.frame()
        if frame["TYPE"] == "999" and frame["TIMEMS"] / 1000 > end:
            return found
        if frame["TYPE"] == "0":
            found[f"0~{frame['M']}~{frame['FSYM']}~{frame['TSYM']}", frame["TS"] // 60 * 60].append(frame)


def _assert_row_is(row: Frame, before: Frame, trades: list[Frame]) -> None:
    trades = sorted(trades, key=lambda t: (t["TS"], t.get("TSNS", 0), t.get("CCSEQ") or int(t["ID"])))
    prices = [Decimal(trade["P"]) for trade in trades] or [Decimal(before["close"])]
    assert Decimal(row["open"]) == Decimal(before["close"])
    assert (Decimal(row["high"]), Decimal(row["low"])) == (max(prices), min(prices))
    assert Decimal(row["close"]) == prices[-1]
    assert float(row["volumefrom"]) == float(sum(Decimal(trade["Q"]) for trade in trades))
    assert float(row["volumeto"]) == float(sum(Decimal(t["Q"]) * Decimal(t["P"]) for t in trades))


def _logged(simulator: Simulator, market: str, minute: int) -> set[tuple[int, str]]:
    return {
        (line["ts"], line["id"])
        for line in simulator.sent()
        if line["event"] == "trade" and line["market"] == market and line["ts"] // (60 * 10**9) * 60 == minute
    }


def test_the_log_has_every_frame_with_its_socket(simulator: Simulator) -> None:
    with simulator.connect("log") as client:
        number = client.frame()["CLIENT_ID"]
        client.ask("SubAdd", BTC)
        received = [frame["ID"] for frame in client.until("999") if frame["TYPE"] == "0"]
    lines = [line for line in simulator.sent() if line.get("socket") == number]
    assert [line["event"] for line in lines if line["event"] not in ("trade", "closed")] == [
        "opened",
        "subscribed",
        "heartbeat",
    ]
    assert [line["id"] for line in lines if line["event"] == "trade"][: len(received)] == received
    assert [line.get("replayed", False) for line in lines if line["event"] == "trade"][:21] == [True] * 20 + [False]
    assert all(line["at"] >= line["rts"] for line in lines if line["event"] == "trade")


@pytest.mark.slow
def test_only_the_configured_key_is_taken(tmp_path: Path) -> None:
    with running(tmp_path, "--key", "right") as simulator:
        with simulator.connect("wrong") as client:
            assert client.frame()["TYPE"] == "401"
            assert client.closed()
        status, body, _ = simulator.exchange("/data/v2/histominute?fsym=BTC&tsym=USD&e=Coinbase")
        assert (status, body["Err"]["type"], body["Err"]["http_status_code"]) == (401, 2, 401)
        for path, headers in (("?api_key=right", {}), ("", {"Authorization": "Apikey right"})):
            assert simulator.exchange(f"/stats/rate/limit{path}", headers=headers)[0] == 200
        with simulator.connect("right") as client:
            assert json.loads(client.text())["TYPE"] == "20"
