from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as some

from actor_runtime.errors import Fenced
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import TransitionLog
from actor_runtime.ownership.rebalancing import (
    LEFT_OVER_BY_US,
    MAX_CLAIMS,
    ActorSnapshot,
    ClaimCandidate,
    active_rows,
    choose_rows,
    claim_all,
    make_rows,
)
from consumers.models import DynamicTopicConsumer
from tests.support.actor_runtime.work import GONE, logged

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ME, OTHER, THIRD = "here:1:1", "there:2:2", "yonder:3:3"


def seen(number: int, owner: str = "", state: str = "consuming", silence: float = 1.0) -> ActorSnapshot:
    return ActorSnapshot(f"dyn-{number}", 1, owner, state, NOW, timedelta(seconds=silence))


def rows_of(*owners: str) -> list[ActorSnapshot]:
    return [seen(number, owner) for number, owner in enumerate(owners)]


def chosen(rows: list[ActorSnapshot], mine: set[str] | None = None) -> list[str]:
    held = {row.name for row in rows if row.owner == ME} if mine is None else mine
    return sorted(choice.row.owner for choice in choose_rows(DynamicTopicConsumer, rows, ME, held))


def test_who_is_alone_takes_all_that_is_free_some_at_a_look() -> None:
    assert len(chosen(rows_of(*[""] * 7))) == 7
    assert len(chosen(rows_of(*[""] * 60))) == MAX_CLAIMS
    assert len(chosen(rows_of(*[""] * 400))) == 100, "hundreds must be taken over in time too"


def test_of_what_is_free_nobody_takes_more_than_his_share() -> None:
    assert len(chosen(rows_of(OTHER, OTHER, *[""] * 6))) == 4
    assert chosen(rows_of(ME, ME, ME, OTHER, "")) == []
    assert chosen(rows_of(ME, ME, OTHER, OTHER, "")) == [""]


def test_stale_rows_and_those_of_the_dead_are_free_and_their_owners_count_no_more() -> None:
    stale = [seen(number, OTHER, silence=11) for number in range(3)]
    dead = [seen(number, GONE) for number in range(3, 6)]
    assert len(chosen([*stale, *dead])) == 6


def test_a_row_that_this_process_owns_and_does_not_know_of_is_taken_again() -> None:
    (choice,) = choose_rows(DynamicTopicConsumer, rows_of(ME), ME, set())
    assert choice.reason == LEFT_OVER_BY_US


def test_who_has_less_than_his_share_takes_rows_at_rest_from_who_has_more() -> None:
    rows = [*rows_of(*[OTHER] * 8), seen(8, OTHER, "writing_to_db"), seen(9, OTHER, "error")]
    for choice in (taken := choose_rows(DynamicTopicConsumer, rows, ME, set())):
        assert choice.alive and choice.row.state == "consuming"
        assert choice.reason == f"{OTHER} had 10 of 10, the share is 5"
    assert len(taken) == 5


def test_who_has_his_share_leaves_the_others_alone() -> None:
    assert chosen(rows_of(ME, OTHER, OTHER)) == []
    assert chosen(rows_of(ME, ME, OTHER, OTHER)) == []
    assert chosen(rows_of(OTHER)) == []


@given(some.lists(some.sampled_from(["", ME, OTHER, THIRD]), max_size=60))
def test_taking_in_turn_ends_with_everything_owned_and_nobody_far_from_his_share(owners: list[str]) -> None:
    rows = rows_of(*owners)
    for _ in range(30):
        for me in (ME, OTHER, THIRD):
            held = {row.name for row in rows if row.owner == me}
            taken = {choice.row.name for choice in choose_rows(DynamicTopicConsumer, rows, me, held)}
            rows = [row._replace(owner=me) if row.name in taken else row for row in rows]
    assert all(row.owner for row in rows)
    loads = [sum(row.owner == me for row in rows) for me in (ME, OTHER, THIRD)]
    assert max(loads) - min(loads) <= 2


@pytest.mark.django_db(transaction=True)
def test_claiming_many_rows_costs_as_many_statements_as_claiming_two() -> None:
    counts = []
    for names in (["a-1", "a-2"], [f"b-{n}" for n in range(25)]):
        make_rows(DynamicTopicConsumer, names)
        choices = [ClaimCandidate(row, "free") for row in active_rows(DynamicTopicConsumer) if row.name in names]
        with CaptureQueriesContext(connection) as queries:
            assert len(claim_all(DynamicTopicConsumer, choices, ME)) == len(names)
        counts.append(len(queries))
    print(f"\nclaiming 2 and 25 rows: {counts} statements")
    assert counts[0] == counts[1] <= 5
    assert {row.owner for row in active_rows(DynamicTopicConsumer)} == {ME}


@pytest.mark.django_db(transaction=True)
def test_an_owner_at_work_keeps_the_row_that_another_chose() -> None:
    make_rows(DynamicTopicConsumer, ["dyn-1", "dyn-2"])
    make_rows(DynamicTopicConsumer, ["dyn-1"])
    free = choose_rows(DynamicTopicConsumer, active_rows(DynamicTopicConsumer), OTHER, set())
    sessions = [ActorSession(actor, None) for actor in claim_all(DynamicTopicConsumer, free, OTHER)]  # type: ignore[arg-type]
    for session in sessions:
        session.actor.subscribe_to_topic()
        session.actor.subscribe_success()
        session.save()
    choices = choose_rows(DynamicTopicConsumer, active_rows(DynamicTopicConsumer), ME, set())
    (choice,) = choices
    at_work = next(session for session in sessions if session.name == choice.row.name)
    at_work.actor.message_received()
    at_work.save()
    assert claim_all(DynamicTopicConsumer, choices, ME) == []
    at_work.actor.process_success()
    at_work.actor.write_success()
    at_work.actor.update_cache_success()
    at_work.save()
    (taken,) = claim_all(DynamicTopicConsumer, choices, ME)
    assert (taken.owner, taken.epoch, str(taken.state)) == (ME, 2, "consuming")
    assert logged("event", "by")[-1] == ("TAKEOVER", ME)
    assert not TransitionLog.objects.filter(event="RESET").exists()
    with pytest.raises(Fenced):
        at_work.beat()
