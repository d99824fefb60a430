from __future__ import annotations

import time

import pytest

from actor_runtime.models import TransitionLog
from datastore.timeframes.intervals import SECOND_US
from ingestion.live import market_connection
from ingestion.live.socket_reader import Arrival, Connected, Frame, SocketLost, SocketReader
from ingestion.models import Producer
from streaming.ends import EndCode
from streaming.records import FeedClosed, Watermark
from tests.support.ingestion.live_bench import Bench, State, bench, live

__all__ = ["bench"]
REFUSED = b'{"TYPE":"401","MESSAGE":"UNAUTHORIZED","PARAMETER":"format","INFO":"a valid api_key, please"}'


class ClosedBehindARefusal(SocketReader):
    """A connection whose refusal and end arrive in one batch."""

    def start(self) -> None:
        """Bring everything at once."""
        at = time.monotonic()
        self._all: list[Arrival] = [Connected(at), Frame(at, REFUSED), SocketLost(at, "the provider closed the socket")]

    def take(self, timeout: float, limit: int) -> list[Arrival]:
        """Hand it over, then nothing."""
        arrivals, self._all = self._all, []
        return arrivals

    def close(self) -> None:
        """Forget."""


def test_a_refusal_counts_though_the_socket_closes_right_behind_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_connection, "SocketReader", ClosedBehindARefusal)
    bench.step_until(lambda: Producer.objects.filter(state=State.ERROR).exists())
    actor = Producer.objects.get()
    assert "UNAUTHORIZED" in (actor.last_error or "")
    assert actor.reset_at is None, "a refused key is not tried again by itself"


def test_a_socket_lost_in_the_turn_that_cannot_publish_is_opened_again_and_not_taken_for_a_quiet_one(
    bench: Bench,
) -> None:
    live(bench)
    bench.simulator.fault("drop", seconds=0)
    bench.simulator.wait_until(bench.simulator.now() + 5)  # nobody steps: frames and the end wait for one turn
    bench.broker.go_away("unplugged")
    bench.step_until(lambda: bench.state() == State.ERROR)
    bench.broker.come_back()
    bench.step_until(lambda: len({record.feed for record in bench.records()}) == 2)


def test_a_producer_that_has_left_error_says_that_it_waits_for_the_provider(bench: Bench) -> None:
    live(bench)
    bench.simulator.fault("drop", seconds=60)
    bench.step_until(TransitionLog.objects.filter(event="RESET").exists)
    bench.step_until(lambda: Producer.objects.exclude(state=State.ERROR).exclude(waiting_for=None).exists())
    assert Producer.objects.get().waiting_for == "the provider: the provider answers HTTP 503"
    bench.simulator.fault("reset")
    bench.step_until(lambda: Producer.objects.get().waiting_for is None)


def test_a_long_outage_of_the_provider_is_waited_out_by_the_connection_s_own_waiting_alone(bench: Bench) -> None:
    live(bench)
    bench.simulator.fault("drop", seconds=60)
    bench.step_until(TransitionLog.objects.filter(event="FETCH_FAILURE").exists)
    assert bench.runner.loop
    bench.runner.loop.session.actor.error_count = 8  # as after half an hour
    bench.step_until(lambda: TransitionLog.objects.filter(event="RESET").count() > 1)
    assert set(TransitionLog.objects.filter(event="RESET").values_list("by", flat=True)) == {"automatic after 1 s"}


def test_a_silence_in_which_heartbeats_were_due_is_never_claimed_though_the_socket_goes_on(bench: Bench) -> None:
    live(bench)
    bench.simulator.fault("silent", seconds=220)  # at twenty times the speed: 11 s
    began = round(bench.simulator.now() * SECOND_US)
    bench.step_until(lambda: bench.count(FeedClosed) == 2)
    silenced = {record.feed for record in bench.records() if isinstance(record, FeedClosed)}
    assert len(silenced) == 1
    of_feed = [record for record in bench.records() if record.feed in silenced]
    assert {record.code for record in of_feed if isinstance(record, FeedClosed)} == {EndCode.SILENT}
    assert max(record.until for record in of_feed if isinstance(record, Watermark)) <= began
    bench.step_until(lambda: {record.feed for record in bench.records() if isinstance(record, Watermark)} - silenced)
