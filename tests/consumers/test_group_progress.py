from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from consumers.group_progress import GroupProgress
from streaming.broker import Progress

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_topic_without_a_backlog_is_stored_up_to_the_look() -> None:
    ends = GroupProgress()
    assert ends.look({"a:0": Progress(3, 3), "a:1": Progress(0, 0)}, at(0)) == at(0)
    assert ends.look({"a:0": Progress(5, 5), "a:1": Progress(0, 0)}, at(1)) == at(1)


def test_one_partition_that_somebody_else_has_not_read_keeps_the_whole_topic_behind() -> None:
    ends = GroupProgress()
    assert ends.look({"a:0": Progress(3, 3), "a:1": Progress(0, 1)}, at(0)) is None
    assert ends.look({"a:0": Progress(9, 9), "a:1": Progress(0, 1)}, at(1)) is None
    assert ends.look({"a:0": Progress(9, 12), "a:1": Progress(1, 1)}, at(2)) == at(0)


def test_a_topic_that_is_never_empty_is_stored_up_to_an_earlier_look() -> None:
    ends = GroupProgress()
    assert ends.look({"a": Progress(0, 10)}, at(0)) is None
    assert ends.look({"a": Progress(9, 20)}, at(1)) is None
    assert ends.look({"a": Progress(10, 30)}, at(2)) == at(0)
    assert ends.look({"a": Progress(29, 40)}, at(3)) is None
    assert ends.look({"a": Progress(30, 50)}, at(4)) == at(2)


def test_a_partition_that_is_gone_is_not_done() -> None:
    ends = GroupProgress()
    ends.look({"a:0": Progress(0, 1), "a:1": Progress(0, 1)}, at(0))
    assert ends.look({"a:0": Progress(1, 1)}, at(1)) is None


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["publish", "commit", "look"]), st.integers(1, 5))))
def test_nothing_published_before_a_claimed_time_is_unread(steps: list[tuple[int, str, int]]) -> None:
    ends, done, published = GroupProgress(), [0, 0], [[], []]  # type: ignore[var-annotated]
    for second, (part, step, count) in enumerate(steps):
        if step == "publish":
            published[part] += [second] * count
        elif step == "commit":
            done[part] = min(done[part] + count, len(published[part]))
        else:
            stands = {str(n): Progress(done[n], len(published[n])) for n in (0, 1)}
            if known := ends.look(stands, at(second)):
                unread = [when for n in (0, 1) for when in published[n][done[n] :]]
                assert all(at(when) >= known for when in unread)
