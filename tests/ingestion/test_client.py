from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from datastore.timeframes.intervals import SECOND_US
from ingestion.history.rest_client import RestClient
from ingestion.provider_access import Access
from ingestion.providers.cryptocompare.provider import PROVIDER as CRYPTOCOMPARE
from ingestion.providers.port import CandlePage as Page
from ingestion.providers.port import CandlesAsked, Trouble, Unauthorized, Unavailable
from tests.support.simulator import running

HOUR, LAST = 3600, 1_577_836_800
ASKED = CandlesAsked("0~Coinbase~BTC~USD", HOUR, (LAST - 3 * HOUR) * SECOND_US, (LAST + HOUR) * SECOND_US)


def client_of(url: str, key: str) -> RestClient:
    return RestClient(CRYPTOCOMPARE, Access(url, key, CRYPTOCOMPARE.headers(key)))


def ask(client: RestClient) -> Page | Trouble:
    try:
        return client.candles(ASKED)
    finally:
        client.close()


@pytest.mark.slow
def test_a_page_brings_one_row_more_and_the_providers_time_and_name(tmp_path: Path) -> None:
    with running(tmp_path, "--markets", "coinbase:BTC-USD", "--key", "sesame") as simulator:
        page = ask(client_of(simulator.rest_url + "/", "sesame"))
        assert isinstance(page, Page)
        assert [row.time for row in page.rows] == [LAST - back * HOUR for back in (4, 3, 2, 1, 0)]
        assert abs(page.at / 1e6 - simulator.now()) < 5
        assert page.provider.startswith("simulator/")
        assert isinstance(ask(client_of(simulator.rest_url, "open")), Unauthorized)
        assert isinstance(ask(client_of(simulator.rest_url, "")), Unauthorized)


def test_nobody_at_the_address_is_no_answer_and_names_no_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    outcome = ask(client_of(f"http://127.0.0.1:{port}", "sesame"))
    assert isinstance(outcome, Unavailable)
    assert "sesame" not in outcome.reason


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=break_off, args=[server])
        thread.start()
        outcome = ask(client_of(f"http://127.0.0.1:{server.getsockname()[1]}", ""))
        thread.join()
    assert isinstance(outcome, Unavailable)
    assert "does not answer" in outcome.reason


def break_off(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{")
