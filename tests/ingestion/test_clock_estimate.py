from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.timeframes.intervals import SECOND_US
from ingestion.live.clock_estimate import MAX_DOUBT_US, PERSISTENCE_US, WINDOW_US, ClockEstimate, Source

HALF_HOUR, HOUR = 1800, 3600
WRONG = [0, 0, 0, 15, -15, HALF_HOUR, -HALF_HOUR, HOUR, 26 * HOUR]  # seconds
TRUE = 1_800_000_000  # seconds that the provider's time is ahead of our count


class Stamps:
    """An estimate that is shown stamps; times are seconds of our count."""

    def __init__(self) -> None:
        self.clock = ClockEstimate()

    def __call__(self, at: float, wrong: float = 0, source: Source = Source.STREAMER) -> bool:
        """Show a stamp that is so many seconds ahead of the truth; return whether it proves something."""
        return self.clock.observe(round((TRUE + at + wrong) * SECOND_US), round(at * SECOND_US), source)

    def error(self, at: float) -> float:
        """Return how many seconds the estimate is ahead of the truth."""
        return (self.clock.now(round(at * SECOND_US)) - round((TRUE + at) * SECOND_US)) / SECOND_US


@pytest.fixture
def stamps() -> Stamps:
    """Return an estimate that two stamps have confirmed."""
    shown = Stamps()
    assert shown(0) and shown(1, source=Source.TRADE)
    return shown


def test_before_the_first_stamp_there_is_no_time() -> None:
    clock = ClockEstimate()
    with pytest.raises(ValueError, match="no stamp"):
        clock.now(5)


def test_one_stamp_is_not_enough_to_give_the_time_to_others() -> None:
    stamps = Stamps()
    stamps(0)
    assert not stamps.clock.confirmed
    stamps(30)
    assert stamps.clock.confirmed


def test_the_header_of_the_handshake_confirms_the_first_stamp_and_begins_nothing_itself() -> None:
    stamps = Stamps()
    assert not stamps(0, -0.5, Source.HANDSHAKE)
    assert stamps.clock.offset is None
    stamps(0.1)
    assert stamps.clock.confirmed and stamps.error(1) == 0


def test_the_greatest_difference_of_a_minute_is_followed_up_and_down(stamps: Stamps) -> None:
    for late in (3, 1, 2):
        stamps(100, -late)
    assert stamps.error(100) == -1
    stamps(100 + WINDOW_US // SECOND_US + 1, -4)
    assert stamps.error(200) == -4


def test_four_wrong_heartbeats_in_a_row_prove_nothing_and_move_nothing(stamps: Stamps) -> None:
    for at in (30, 60, 90, 120):
        assert not stamps(at, HALF_HOUR)
        assert abs(stamps.error(at)) < 1
        assert not stamps.clock.is_doubtful(at * SECOND_US)
    assert stamps(150)
    assert abs(stamps.error(150)) < 1


def test_a_wrong_heartbeat_between_right_trades_is_never_believed(stamps: Stamps) -> None:
    for at in range(10, 600, 10):
        assert not stamps(at, HALF_HOUR)
        assert stamps(at + 1, source=Source.TRADE)
        assert abs(stamps.error(at + 1)) < 1


def test_two_sources_that_agree_are_believed_at_once(stamps: Stamps) -> None:
    assert not stamps(30, HOUR)
    assert stamps(31, HOUR, Source.TRADE)
    assert stamps.error(31) == HOUR and stamps.clock.jumps == 1


def test_stamps_that_a_held_up_socket_delivers_late_do_not_take_the_time_back(stamps: Stamps) -> None:
    for late in range(40, 0, -1):
        assert stamps(100 + (40 - late) / 100, -late, Source.TRADE if late % 2 else Source.STREAMER)
        assert abs(stamps.error(100)) <= 4.5
    assert abs(stamps.error(101)) <= 1


def test_a_time_that_was_ahead_is_taken_back_once_two_sources_persist(stamps: Stamps) -> None:
    stamps(30, HOUR)
    stamps(31, HOUR, Source.TRADE)
    for at in range(60, 85):
        stamps(at, source=Source.TRADE if at % 2 else Source.STREAMER)
    assert abs(stamps.error(85)) < 1


def test_what_one_source_alone_says_is_believed_after_a_minute_on_a_fresh_connection(stamps: Stamps) -> None:
    doubtful = 30 + MAX_DOUBT_US // SECOND_US + 1
    for at in range(30, doubtful + 30, 30):
        assert not stamps(at, HOUR)
    assert stamps.clock.is_doubtful(doubtful * SECOND_US)
    stamps.clock.connected()
    assert not stamps.clock.is_doubtful(doubtful * SECOND_US)
    last = doubtful + PERSISTENCE_US // SECOND_US
    for at in range(doubtful, last, 10):
        assert not stamps(at, HOUR)
    assert stamps(last, HOUR)
    assert stamps.error(last) == HOUR


def test_a_first_stamp_that_was_wrong_is_replaced_by_the_next_two() -> None:
    stamps = Stamps()
    stamps(0, HALF_HOUR)
    stamps(30)
    assert not stamps.clock.confirmed
    stamps(60)
    assert stamps.clock.confirmed and abs(stamps.error(60)) < 1


def test_a_saved_time_is_not_given_up_for_a_wrong_first_stamp() -> None:
    stamps = Stamps()
    stamps.clock.resume(TRUE * SECOND_US)
    stamps.clock.connected()
    assert not stamps(0, HALF_HOUR)
    assert stamps(1) and abs(stamps.error(1)) < 1


steps = st.lists(
    st.tuples(st.floats(0.1, 40), st.floats(-2, 0), st.sampled_from(WRONG)),
    max_size=80,
)


@given(steps=steps)
def test_wrong_heartbeats_never_move_the_time_while_any_trade_in_between_is_right(
    steps: list[tuple[float, float, int]],
) -> None:
    stamps, at = Stamps(), 1.0
    stamps(0)
    stamps(1, source=Source.TRADE)
    for passed, late, wrong in steps:
        at += passed
        proves = stamps(at, wrong + late)
        assert not (proves and wrong > 0), "a stamp of the future proves nothing"
        assert stamps(at + 0.05, late, Source.TRADE)
        assert -2.1 <= stamps.error(at) <= 0.001


@given(steps=steps)
def test_after_a_minute_of_right_stamps_of_two_sources_the_time_is_right_whatever_came_before(
    steps: list[tuple[float, float, int]],
) -> None:
    stamps, at = Stamps(), 0.0
    for passed, late, wrong in steps:
        at += passed
        stamps(at, wrong + late, Source.TRADE if wrong % 2 else Source.STREAMER)
        if stamps.clock.is_doubtful(round(at * SECOND_US)):
            stamps.clock.connected()
    for second in range(61):
        stamps(at + second, source=Source.TRADE if second % 2 else Source.STREAMER)
    assert abs(stamps.error(at + 61)) < 1
