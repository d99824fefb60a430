"""Faults on demand: each does what it says, for as long as it says, and no longer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import websocket

from tests.support.polling import until
from tests.support.simulator import Client, Simulator, running

BTC, LTC = "0~Coinbase~BTC~USD", "0~Coinbase~LTC~USD"
MINUTE = "/data/v2/histominute?fsym=BTC&tsym=USD&e=Coinbase&limit=1"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    options = ("--markets", "coinbase:BTC-USD,coinbase:LTC-USD", "--speed", "20")
    with running(tmp_path_factory.mktemp("faults"), *options) as simulator:
        yield simulator


@pytest.fixture
def simulator(process: Simulator) -> Simulator:
    process.fault("reset")
    return process


@pytest.fixture
def client(simulator: Simulator, request: pytest.FixtureRequest) -> Iterator[Client]:
    with simulator.connect(request.node.name) as client:
        client.ask("SubAdd", BTC)
        client.until("3")
        yield client


def _numbers(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["CCSEQ"] for frame in frames if frame["TYPE"] == "0"]


def _connect_when_taken(simulator: Simulator, key: str) -> Client:
    def connected() -> Client | None:
        try:
            return simulator.connect(key)
        except websocket.WebSocketBadStatusException as refusal:
            assert refusal.status_code == 503
            return None

    return until("a connection", connected)


def _drop_and_resubscribe(simulator: Simulator, client: Client, replay: int | str) -> tuple[list[int], list[int]]:
    """Return the numbers seen before a drop of 60 s and those replayed afterwards."""
    before = _numbers(client.until("999"))
    assert simulator.fault("drop", seconds=60, replay=replay)["dropped"] == 1
    with pytest.raises(websocket.WebSocketBadStatusException):
        simulator.connect("too early")
    while frame := client.text():
        before += _numbers([json.loads(frame)])
    with _connect_when_taken(simulator, f"again {replay}") as again:
        again.ask("SubAdd", BTC)
        return before, _numbers(again.until("16"))


def test_a_drop_without_replay_leaves_a_hole(simulator: Simulator, client: Client) -> None:
    _, replayed = _drop_and_resubscribe(simulator, client, replay=0)
    assert replayed == []


def test_a_drop_with_a_bridge_leaves_none(simulator: Simulator, client: Client) -> None:
    before, replayed = _drop_and_resubscribe(simulator, client, replay="bridge")
    assert len(replayed) > 20  # more than any subscription is sent again: how many were missed is the market's affair
    assert replayed == list(range(replayed[0], replayed[0] + len(replayed)))
    assert replayed[0] == before[-1] - 19


def test_the_number_of_replayed_trades_can_be_set(simulator: Simulator) -> None:
    simulator.fault("bridge", replay=3)
    with simulator.connect("three") as client:
        client.ask("SubAdd", BTC)
        assert len(_numbers(client.until("16"))) == 3
    assert simulator.get("/control/stats")["replay"] == 3


def test_a_silent_socket_loses_what_was_found_meanwhile_and_others_do_not(simulator: Simulator, client: Client) -> None:
    before = _numbers(client.until("999"))
    until = simulator.fault("silent", seconds=60)["now_ns"] + 60 * 10**9
    with simulator.connect("another") as other:
        other.ask("SubAdd", BTC)
        assert _numbers(other.until("999"))
    frames = client.until("999") + client.until("999")
    after = [frame for frame in frames if frame["TYPE"] == "0" and frame["RTS"] * 10**9 + frame["RTSNS"] > until]
    assert frames[-1]["TIMEMS"] * 10**6 >= until - 10**6
    assert after and _numbers(frames)[-1] - before[-1] > len(_numbers(frames)) + 20


def test_silence_for_all_keeps_even_the_welcome_back(simulator: Simulator) -> None:
    simulator.fault("silent", seconds=400, scope="all")
    with simulator.connect("unheard", timeout=0.5) as client, pytest.raises(websocket.WebSocketTimeoutException):
        client.text()
    simulator.fault("reset")
    with simulator.connect("heard") as client:
        assert client.frame()["TYPE"] == "20"


def test_unauthorized_holds_for_sockets_and_rest_and_ends(simulator: Simulator, client: Client) -> None:
    started = simulator.fault("unauthorized", seconds=40)["now_ns"] / 1e9
    assert client.until("401")[-1]["MESSAGE"] == "UNAUTHORIZED"
    assert client.closed()
    assert simulator.exchange(MINUTE)[0] == 401
    with simulator.connect("new") as new:
        assert new.frame()["TYPE"] == "401"
    simulator.wait_until(started + 41)
    assert simulator.exchange(MINUTE)[0] == 200


def test_rest_errors_are_http_errors_and_end(simulator: Simulator) -> None:
    started = simulator.fault("error", seconds=40, status=502)["now_ns"] / 1e9
    assert simulator.exchange(MINUTE)[:2] == (502, "<html>upstream error</html>")
    simulator.wait_until(started + 41)
    assert simulator.exchange(MINUTE)[0] == 200


def test_an_error_of_one_period_leaves_the_others_alone(simulator: Simulator) -> None:
    simulator.fault("error", seconds=400, period="day")
    paths = ("histominute", "v2/histominute", "v2/histohour", "v2/histoday", "histoday")
    statuses = [simulator.exchange(f"/data/{path}?fsym=BTC&tsym=USD&e=Coinbase&limit=1")[0] for path in paths]
    assert statuses == [200, 200, 200, 503, 503]
    simulator.fault("reset")
    assert simulator.exchange("/data/v2/histoday?fsym=BTC&tsym=USD&e=Coinbase&limit=1")[0] == 200


LONG_KNOWN = "/data/v2/histominute?fsym=BTC&tsym=USD&e=Coinbase&limit=9&toTs={}"


def _spoiled(simulator: Simulator, kind: str, path: str = MINUTE) -> Any:
    simulator.fault("spoil", seconds=400, kind=kind)
    status, body, _ = simulator.exchange(path)
    assert status == 200
    return body


def test_one_market_s_answers_are_spoiled_and_no_other_s(simulator: Simulator) -> None:
    other = MINUTE.replace("BTC", "LTC")
    simulator.fault("spoil", seconds=400, kind="text", market="coinbase:BTC-USD")
    assert isinstance(simulator.exchange(MINUTE)[1], str), "no JSON"
    assert simulator.exchange(other)[1]["Response"] == "Success"


def test_spoiled_answers_are_no_json_or_no_rows(simulator: Simulator) -> None:
    assert _spoiled(simulator, "text") == "<html>502 Bad Gateway</html>"
    assert _spoiled(simulator, "shape")["Data"] == {"Data": "soon"}


def test_spoiled_rows_are_torn_or_old_or_empty(simulator: Simulator) -> None:
    path = LONG_KNOWN.format(int(simulator.now()) - 3600)
    sound = simulator.get(path)["Data"]["Data"]
    torn, old, empty = (_spoiled(simulator, kind, path)["Data"]["Data"] for kind in ("rows", "times", "zeros"))
    assert [row["time"] for row in torn] == [row["time"] for row in empty] == [row["time"] for row in sound]
    assert {row["close"] for row in torn[:2]} == {"much", -1} and float(torn[2]["low"]) > float(torn[2]["high"])
    assert all(row["time"] < 10**9 for row in old)
    assert {row[name] for row in empty for name in ("open", "close", "volumefrom", "volumeto")} == {0}


def test_a_page_can_come_with_a_warning_or_times_as_text_or_deny_its_market(simulator: Simulator) -> None:
    warned = _spoiled(simulator, "warning")
    assert (warned["Response"], warned["HasWarning"], warned["Type"]) == ("Success", True, 101)
    assert warned["Data"]["Data"]
    assert all(isinstance(row["time"], str) for row in _spoiled(simulator, "texts")["Data"]["Data"])
    denied = _spoiled(simulator, "missing")
    assert (denied["Type"], denied["Data"]) == (2, {})


def test_a_rate_limit_can_name_the_window_that_is_used_up(simulator: Simulator) -> None:
    simulator.fault("ratelimit", seconds=20, window="day")
    rate = simulator.get(MINUTE)["RateLimit"]
    over = [name for name, most in rate["max_calls"].items() if rate["calls_made"][name] >= most]
    assert over == ["day"]


def test_only_the_named_period_is_spoiled(simulator: Simulator) -> None:
    simulator.fault("spoil", seconds=400, kind="text", period="hour")
    assert simulator.get(MINUTE)["Response"] == "Success"
    assert simulator.get("/data/v2/histohour?fsym=BTC&tsym=USD&e=Coinbase").startswith("<html>")


def test_a_rate_limit_is_a_200_that_says_so(simulator: Simulator) -> None:
    simulator.fault("ratelimit", seconds=20)
    status, body, _ = simulator.exchange(MINUTE)
    assert (status, body["Response"], body["Type"]) == (200, "Error", 99)
    assert set(body["RateLimit"]) == {"calls_made", "max_calls"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", "<html>"),
        ("array", "[1,2,3]"),
        ("price", '"M":"Coinbase","FSYM":"BTC"'),
        ("market", '"M":"Nowhere"'),
    ],
)
def test_garbage_arrives_once_and_the_feed_goes_on(
    simulator: Simulator, client: Client, kind: str, expected: str
) -> None:
    sent = simulator.fault("garbage", kind=kind)
    assert expected in sent["frame"] and sent["sent"] == 1
    texts = [client.text()]
    while texts[-1] != sent["frame"]:
        texts.append(client.text())
    assert _numbers(client.until("999"))


def test_garbage_can_name_a_market(simulator: Simulator) -> None:
    frame = simulator.fault("garbage", kind="price", market="coinbase:LTC-USD")["frame"]
    assert '"FSYM":"LTC"' in frame and '"P":-100' in frame


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        ("drop", {"seconds": -1}),
        ("drop", {"replay": "some"}),
        ("silent", {}),
        ("error", {"seconds": 1, "status": 200}),
        ("error", {"seconds": 1, "period": "week"}),
        ("spoil", {"seconds": 1, "kind": "nice"}),
        ("garbage", {"kind": "nice"}),
        ("garbage", {"market": "nowhere"}),
        ("bridge", {"replays": 1}),
    ],
)
def test_a_bad_fault_is_refused_and_says_why(simulator: Simulator, fault: str, body: dict[str, Any]) -> None:
    status, answer, _ = simulator.exchange(f"/control/{fault}", body)
    assert status == 400 and answer["error"]
