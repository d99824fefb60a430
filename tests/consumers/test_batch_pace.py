from __future__ import annotations

import pytest

from consumers.batch_pace import (
    FULL_LINGER_S,
    LONG_BATCH_S,
    MAX_BACKLOG_RECORDS,
    MAX_BATCH_RECORDS,
    MAX_LINGER_S,
    MIN_LINGER_S,
    BatchPace,
)


def test_a_batch_grows_for_longer_the_more_markets_it_has_within_bounds() -> None:
    pace = BatchPace()
    assert pace.linger_s == MIN_LINGER_S
    for markets, expected in ((3, MIN_LINGER_S), (30, 0.009), (200, 0.06), (100_000, MAX_LINGER_S), (0, MIN_LINGER_S)):
        pace.note(10, markets, 0.001)
        assert pace.linger_s == pytest.approx(expected)
        assert pace.most == MAX_BATCH_RECORDS


def test_a_batch_of_few_markets_grows_for_as_long_as_the_last_one_took_within_bounds() -> None:
    pace = BatchPace()
    for seconds, expected in ((0.001, MIN_LINGER_S), (0.012, 0.012), (0.1, FULL_LINGER_S), (0.001, MIN_LINGER_S)):
        pace.note(10, 3, seconds)
        assert pace.linger_s == pytest.approx(expected)


def test_a_backlog_is_read_in_larger_batches_until_one_takes_long() -> None:
    pace = BatchPace()
    sizes = []
    for _ in range(4):
        pace.note(pace.most, 1000, LONG_BATCH_S / 2)
        sizes.append(pace.most)
    assert sizes == [2 * MAX_BATCH_RECORDS, MAX_BACKLOG_RECORDS, MAX_BACKLOG_RECORDS, MAX_BACKLOG_RECORDS]
    pace.note(pace.most, 1000, LONG_BATCH_S)
    assert pace.most == MAX_BACKLOG_RECORDS // 2
    for _ in range(3):
        pace.note(pace.most, 1000, 10 * LONG_BATCH_S)
    assert pace.most == MAX_BATCH_RECORDS


def test_a_backlog_of_few_markets_is_read_as_ever() -> None:
    pace = BatchPace()
    for markets, expected in ((3, MAX_BATCH_RECORDS), (300, 6_000)):
        pace.note(pace.most, markets, 0.1)
        assert pace.most == expected


def test_a_batch_that_was_not_full_ends_the_backlog() -> None:
    pace = BatchPace()
    pace.note(MAX_BATCH_RECORDS, 1000, 0.1)
    pace.note(MAX_BATCH_RECORDS - 1, 1000, 0.1)
    assert pace.most == MAX_BATCH_RECORDS
