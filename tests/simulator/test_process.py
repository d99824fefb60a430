"""The process itself: options, start, restart and end."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from simulator.market import Market
from simulator.pairs import Pair
from tests.support import forked_python
from tests.support.polling import until
from tests.support.simulator import Simulator, read_log, running

pytestmark = pytest.mark.slow

BTC = "0~Coinbase~BTC~USD"


def _run(*options: str) -> subprocess.CompletedProcess[str]:
    return forked_python.run("-m", "simulator", *options)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "70000"),
        ("--port", "web"),
        ("--seed", "-1"),
        ("--markets", "BTC-USD"),
        ("--markets", "coinbase:BTC-USD,coinbase:BTC-USD"),
        ("--rate", "0"),
        ("--rate", "nan"),
        ("--speed", "21"),
        ("--speed", "0.5"),
        ("--replay", "no-such-file.csv"),
        ("--replay-market", "coinbase:BTC-USD"),
        ("--replay-lead", "5"),
        ("--retention-days", "0"),
        ("--venues", "mtgox"),
        ("--venues", "kraken=70000"),
        ("--venues", "kraken,kraken=8101"),
    ],
)
def test_a_bad_option_is_named_and_exits_with_two(tmp_path: Path, option: str, value: str) -> None:
    done = _run("--home", str(tmp_path), option, value)
    assert done.returncode == 2
    assert option in done.stderr.splitlines()[-1]


def test_a_file_that_is_no_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("time,price\n")
    done = _run("--home", str(tmp_path / "home"), "--port", "0", "--replay", str(tmp_path / "x.csv"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "x.csv" in done.stderr


def test_a_taken_port_and_a_taken_home_are_one_clear_line(tmp_path: Path) -> None:
    with running(tmp_path / "first") as simulator:
        for home, port in ((tmp_path / "second", simulator.port), (tmp_path / "first", 0)):
            done = _run("--home", str(home), "--port", str(port))
            assert done.returncode == 1
            assert len(done.stderr.splitlines()) == 1 and str(home) in done.stderr
            assert "in use" in done.stderr


def test_each_venue_has_a_port_and_a_line_that_names_it(tmp_path: Path) -> None:
    with running(tmp_path / "first", "--venues", "coinbase,kraken") as simulator:
        coinbase, kraken = simulator.venue("coinbase"), simulator.venue("kraken")
        until("both lines", lambda: len(simulator.output) == 2)
        assert simulator.output == [
            f"simulator: coinbase on {coinbase.rest_url} and {coinbase.ws_url}\n",
            f"simulator: kraken on {kraken.rest_url} and {kraken.ws_url}\n",
        ]
        assert kraken.ws_url.endswith("/v2") and kraken.rest_url != coinbase.rest_url != simulator.rest_url
        taken = kraken.rest_url.rpartition(":")[2]
        done = _run("--home", str(tmp_path / "second"), "--port", "0", "--venues", f"coinbase={taken}")
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1 and f"port {taken}: Address already in use" in done.stderr
        assert simulator.stop() == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_and_without_a_word(tmp_path: Path, how: signal.Signals) -> None:
    with running(tmp_path) as simulator, simulator.connect() as client:
        client.ask("SubAdd", BTC)
        client.until("3")
        started = time.monotonic()
        assert simulator.stop(how) == 0
        assert simulator.output == []
        assert time.monotonic() - started < 3


def _first_live(simulator: Simulator, key: str) -> tuple[int, int]:
    """Subscribe; return the first live trade's CCSEQ and its time of discovery in nanoseconds."""
    with simulator.connect(key) as client:
        client.ask("SubAdd", BTC)
        client.until("3")
        trade = client.until("0")[-1]
        return trade["CCSEQ"], trade["RTS"] * 10**9 + trade["RTSNS"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_goes_on_with_time_numbers_and_candles(tmp_path: Path, how: signal.Signals) -> None:
    options = ("--speed", "20", "--rate", "10")
    with running(tmp_path, *options) as simulator:
        number, at = _first_live(simulator, "before")
        settled = int(simulator.now()) // 60 * 60 - 180
        page = f"/data/v2/histominute?fsym=BTC&tsym=USD&e=Coinbase&limit=200&toTs={settled}"
        rows, stopped, wall = simulator.get(page)["Data"], simulator.now(), time.monotonic()
        simulator.stop(how)
    with running(tmp_path, *options) as simulator:
        assert simulator.now() == pytest.approx(stopped + 20 * (time.monotonic() - wall), abs=10)
        later_number, later = _first_live(simulator, "after")
        assert simulator.get(page)["Data"] == rows
    market = Market(Pair.parse("coinbase:BTC-USD"), seed=1, rate=10)
    drawn = {trade.ccseq: trade.rts for trade in market.between(at - 1, later)}
    assert (drawn[number], drawn[later_number]) == (at, later)
    numbers = {line["ccseq"] for line in read_log(tmp_path) if line["event"] == "trade"}
    assert {number, later_number} <= numbers
    assert [line["event"] for line in read_log(tmp_path)].count("started") == 2


def test_another_speed_after_a_restart_does_not_jump(tmp_path: Path) -> None:
    with running(tmp_path, "--speed", "20") as simulator:
        simulator.wait_until(time.time() + 20)
        stopped = simulator.now()
    with running(tmp_path) as simulator:
        assert stopped < simulator.now() < stopped + 200


def test_a_replay_keeps_its_times_over_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    file.write_text("time_ns,trade_id,price,amount,side\n1772511840000000000,1,100.10,2,buy\n")
    shifts = []
    for _ in range(2):
        with running(tmp_path / "home", "--replay", str(file)):
            shifts.append(json.loads((tmp_path / "home" / "state.json").read_text())["replay"])
    assert shifts[0] == shifts[1]
    first_minute = shifts[0]["shift_minutes"] + 1772511840 // 60
    assert 5 < first_minute * 60 - time.time() + 5 < 80
