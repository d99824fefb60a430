"""REST as the provider's clients know it: envelopes, limits, edges of time, errors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.market import LISTED_SINCE_HOUR
from tests.support.simulator import Simulator, running

MINUTE = "/data/v2/histominute?fsym=BTC&tsym=USD&e=Coinbase"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    options = (
        "--markets",
        "coinbase:BTC-USD,coinbase:LTC-USD,kraken:BTC-EUR",
        "--speed",
        "20",
        "--retention-days",
        "7",
    )
    with running(tmp_path_factory.mktemp("rest"), *options) as simulator:
        yield simulator


def _rows(simulator: Simulator, query: str = "", path: str = MINUTE) -> list[dict[str, Any]]:
    return list(simulator.get(path + query)["Data"]["Data"])


def test_a_limit_of_n_returns_n_and_the_unfinished_row(simulator: Simulator) -> None:
    times = [row["time"] for row in _rows(simulator, "&limit=10")]
    assert len(times) == 11 and times == list(range(times[0], times[0] + 660, 60))
    assert 0 <= simulator.now() - times[-1] < 120
    assert len(_rows(simulator)) == 1441
    assert len(_rows(simulator, "&limit=2000")) == 2001


def test_to_ts_names_the_last_row_from_anywhere_inside_it(simulator: Simulator) -> None:
    start = int(simulator.now()) // 60 * 60 - 3600
    for inside in (0, 30, 59):
        answer = simulator.get(f"{MINUTE}&limit=2&toTs={start + inside}")["Data"]
        assert [row["time"] for row in answer["Data"]] == [start - 120, start - 60, start]
        assert (answer["TimeFrom"], answer["TimeTo"]) == (start - 120, start)


def test_a_page_before_another_repeats_and_agrees_on_their_common_row(simulator: Simulator) -> None:
    end = int(simulator.now()) - 600
    newer = _rows(simulator, f"&limit=100&toTs={end}")
    older = _rows(simulator, f"&limit=100&toTs={newer[0]['time']}")
    assert older[-1] == newer[0]
    assert all(row["open"] == before["close"] for before, row in itertools.pairwise(older + newer[1:]))


def test_the_future_is_not_asked_for(simulator: Simulator) -> None:
    last = _rows(simulator, f"&limit=1&toTs={int(simulator.now()) + 86_400}")[-1]
    assert last["time"] <= simulator.now()


def test_a_minute_without_trades_is_flat(simulator: Simulator) -> None:
    rows = _rows(simulator, "&limit=300", MINUTE.replace("BTC", "LTC"))[:-2]
    quiet = [(before, row) for before, row in itertools.pairwise(rows) if float(row["volumefrom"]) == 0]
    assert quiet
    for before, row in quiet:
        assert {row[name] for name in ("open", "high", "low", "close")} == {before["close"]}
        assert row["volumeto"] == 0


def test_rows_before_listing_are_zero_and_the_first_after_opens_with_its_first_trade(simulator: Simulator) -> None:
    listed = LISTED_SINCE_HOUR * 3600
    rows = _rows(simulator, f"&limit=3&toTs={listed}", "/data/v2/histohour?fsym=BTC&tsym=USD&e=Coinbase")
    assert [row["close"] for row in rows[:3]] == [0, 0, 0]
    assert rows[3]["time"] == listed and float(rows[3]["open"]) > 0 and float(rows[3]["volumefrom"]) > 0


def test_hours_and_days_are_roll_ups_of_the_minutes(simulator: Simulator) -> None:
    hour = int(simulator.now()) // 3600 * 3600 - 7200
    minutes = _rows(simulator, f"&limit=59&toTs={hour + 3540}")
    (row,) = _rows(simulator, f"&limit=1&toTs={hour}", MINUTE.replace("minute", "hour"))[1:]
    assert float(row["high"]) == max(float(minute["high"]) for minute in minutes)
    assert row["close"] == minutes[-1]["close"] and row["open"] == minutes[0]["open"]
    assert float(row["volumefrom"]) == pytest.approx(sum(float(minute["volumefrom"]) for minute in minutes))
    days = _rows(simulator, "&limit=3", MINUTE.replace("minute", "day"))
    assert [row["time"] % 86_400 for row in days] == [0, 0, 0, 0]


def test_the_older_path_has_the_older_envelope(simulator: Simulator) -> None:
    answer = simulator.get(MINUTE.replace("/v2", "") + "&limit=2")
    assert len(answer["Data"]) == 3 and answer["FirstValueInArray"] is True
    assert answer["TimeTo"] == answer["Data"][-1]["time"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("tsym=USD&e=Coinbase", "fsym is a required param."),
        ("fsym=BTC&e=Coinbase", "tsym is a required param."),
        ("fsym=btc&tsym=USD&e=Coinbase", "There is no data for the symbol btc ."),
        ("fsym=BTC&tsym=usd&e=Coinbase", "There is no data for the toSymbol usd ."),
        ("fsym=BTC&tsym=EUR&e=coinbase", "coinbase market does not exist for this coin pair (BTC-EUR)"),
        ("fsym=BTC&tsym=USD", "CCCAGG market does not exist for this coin pair (BTC-USD)"),
        ("fsym=BTC&tsym=USD&e=Coinbase&limit=2001", "limit is larger than max value."),
        ("fsym=BTC&tsym=USD&e=Coinbase&limit=-1", "limit is not an integer."),
        ("fsym=BTC&tsym=USD&e=Coinbase&toTs=soon", "toTs is not an integer."),
        ("fsym=BTC&tsym=USD&e=Coinbase&toTs=1500000000", "Minute data is only available for the last 7 days."),
    ],
)
def test_a_bad_question_is_refused_with_status_200(simulator: Simulator, query: str, message: str) -> None:
    status, answer, _ = simulator.exchange(f"/data/v2/histominute?{query}")
    assert (status, answer["Response"], answer["Message"]) == (200, "Error", message)
    assert answer["Data"] == {}


@pytest.mark.slow
def test_a_year_of_minutes_is_kept_without_an_option(tmp_path: Path) -> None:
    with running(tmp_path, "--markets", "coinbase:BTC-USD") as simulator:
        now = int(simulator.now())
        for days in (0, 180, 365, 399):
            rows = _rows(simulator, f"&limit=2000&toTs={now - days * 86_400}")
            assert len(rows) == 2001 and all(row["close"] for row in rows)
        assert "last 400 days" in simulator.get(f"{MINUTE}&toTs={now - 401 * 86_400}")["Message"]


def test_exchanges_are_found_in_any_case_and_listed_with_their_pairs(simulator: Simulator) -> None:
    assert _rows(simulator, "&limit=1", MINUTE.replace("Coinbase", "COINBASE"))
    listed = simulator.get("/data/v3/all/exchanges")["Data"]
    assert listed["Coinbase"]["pairs"] == {"BTC": ["USD"], "LTC": ["USD"]}
    assert list(simulator.get("/data/v3/all/exchanges?e=Kraken")["Data"]) == ["Kraken"]


@pytest.mark.slow
def test_a_listed_pair_is_no_market_yet_has_history_and_can_be_subscribed(tmp_path: Path) -> None:
    with running(tmp_path, "--markets", "coinbase:BTC-USD", "--listed", "kraken:ETH-EUR,coinbase:BTC-USD") as simulator:
        assert simulator.get("/data/v3/all/exchanges")["Data"]["Kraken"]["pairs"] == {"ETH": ["EUR"]}
        assert simulator.get("/data/v2/histominute?fsym=ETH&tsym=EUR&e=kraken&limit=5")["Response"] == "Success"
        with simulator.connect() as client:
            client.ask("SubAdd", "0~Kraken~ETH~EUR")
            frames = client.until("16")
        assert {frame["FSYM"] for frame in frames if frame["TYPE"] == "0"} == {"ETH"}


def test_every_answer_names_the_provider_and_tells_its_time(simulator: Simulator) -> None:
    for path in (MINUTE, "/data/v3/all/exchanges", "/stats/rate/limit", "/nowhere"):
        _, _, headers = simulator.exchange(path)
        assert headers["X-Provider"] == "simulator/seed=1; simulated"
        told = parsedate_to_datetime(headers["Date"]).timestamp()
        assert -3 < simulator.now() - told < 60
        assert len(headers.get_all("Date")) == 1


def test_calls_are_counted_by_key_and_path(simulator: Simulator) -> None:
    for _ in range(2):
        simulator.get(MINUTE + "&limit=1&api_key=counted")
    made = simulator.get("/stats/rate/limit?api_key=counted")["Data"]
    assert made["calls_made"]["total_calls"] == 3
    assert made["calls_left"]["month"] == 75_000 - 3
    assert simulator.get("/control/stats")["rest_calls"]["/data/v2/histominute"] >= 2


def test_every_call_is_in_the_log_without_its_key(simulator: Simulator) -> None:
    simulator.get(MINUTE + "&limit=7&toTs=1700000000&api_key=secret")
    (line,) = [line for line in simulator.sent() if line["event"] == "asked" and line["query"].get("limit") == "7"]
    query = {"fsym": "BTC", "tsym": "USD", "e": "Coinbase", "limit": "7", "toTs": "1700000000"}
    assert (line["path"], line["query"], line["status"]) == ("/data/v2/histominute", query, 200)
    assert "secret" not in str(line)


def test_a_row_is_final_when_the_cache_may_be_sixty_seconds_old(simulator: Simulator) -> None:
    now = simulator.now()
    last = int(now - 60) // 60 * 60 - 60
    first = _rows(simulator, f"&limit=1&toTs={last}")
    simulator.wait_until(now + 120)
    assert _rows(simulator, f"&limit=1&toTs={last}") == first
