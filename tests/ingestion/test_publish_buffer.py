"""What was not acknowledged is kept by topic and in order, and one topic's trouble is its own."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pytest

from ingestion.live import publish_buffer as module
from ingestion.live.publish_buffer import MAX_FAILURES, PublishBuffer
from streaming.broker import MAX_RECORD_BYTES, Message, Publisher
from streaming.errors import BadRecord, PublishFailed, StreamUnavailable
from streaming.records import FeedOpened, LiveRecord, decode
from streaming.topics import TICK_DATA
from tests.support.datastore.records import NOON, opened, trade
from tests.support.streaming.memory import MemoryBroker

FIXED, ONE, TWO = TICK_DATA.name, "dyn-1", "dyn-2"


class Stubborn:
    """A publisher that raises for some topics and passes the rest on."""

    def __init__(self, publisher: Publisher, refusals: dict[str, Exception]) -> None:
        self._publisher, self.refusals = publisher, refusals

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        if topic in self.refusals:
            raise self.refusals[topic]
        self._publisher.publish(topic, messages)

    def close(self) -> None:
        self._publisher.close()


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker(1_000_000)
    for topic in (FIXED, ONE, TWO):
        broker.admin().create_topic(topic)
    return broker


def filled(*topics: str, count: int = 3) -> PublishBuffer:
    outbox = PublishBuffer()
    outbox.put({topic: [opened(1, NOON), *(trade(n, NOON) for n in range(2, count + 1))] for topic in topics})
    return outbox


def held(broker: MemoryBroker, topic: str) -> list[LiveRecord]:
    reader = broker.subscribe(uuid.uuid4().hex, [topic])
    return [decode(record.value) for record in reader.poll(0, 1_000_000)]


def test_what_was_not_acknowledged_goes_first_and_in_order(broker: MemoryBroker) -> None:
    outbox = filled(ONE)
    broker.fill_up(room=1)
    with pytest.raises(PublishFailed):
        outbox.publish_dynamic(broker.publisher(), broker_answers=False)
    outbox.put({ONE: [trade(4, NOON)]})
    broker.come_back()
    outbox.publish_dynamic(broker.publisher(), broker_answers=False)
    assert [record.n for record in held(broker, ONE)] == [1, 2, 3, 4]
    assert not outbox.has_unsent(ONE)


def test_a_record_that_the_broker_refuses_is_set_aside_and_the_others_go_on(broker: MemoryBroker) -> None:
    outbox = PublishBuffer()
    # More than any broker takes; the records around it are ordinary ones.
    outbox.put({FIXED: [opened(1, NOON), trade(2, NOON, "1", id="x" * MAX_RECORD_BYTES), trade(3, NOON)]})
    outbox.publish_fixed(broker.publisher())
    assert [record.n for record in held(broker, FIXED)] == [1, 3]
    ((record, reason),) = outbox.refused
    assert record.n == 2 and "bytes" in reason.detail
    ((_, acknowledged),) = outbox.take_acknowledged()
    assert [record.n for record in acknowledged] == [1, 3]
    assert not outbox.has_unsent()


def test_an_opening_counts_as_acknowledged_though_the_records_behind_it_were_not(broker: MemoryBroker) -> None:
    outbox = filled(ONE)
    broker.fill_up(room=1)
    with pytest.raises(PublishFailed):
        outbox.publish_dynamic(broker.publisher(), broker_answers=False)
    assert outbox.opened == {ONE}
    ((topic, records),) = outbox.take_acknowledged()
    assert (topic, [type(record) for record in records]) == (ONE, [FeedOpened])


def test_a_missing_topic_is_given_up_alone(broker: MemoryBroker) -> None:
    broker.admin().delete_topic(ONE)
    outbox = filled(ONE, TWO, FIXED)
    outbox.publish_fixed(broker.publisher())
    outbox.publish_dynamic(broker.publisher(), broker_answers=True)
    assert list(outbox.given_up) == [ONE] and "no topic" in outbox.given_up[ONE]
    assert len(held(broker, TWO)) == len(held(broker, FIXED)) == 3
    outbox.put({ONE: [trade(4, NOON)]})
    assert not outbox.unsent_dynamic_topics(), "nothing gathers for a topic that was given up"


@pytest.mark.parametrize("refusal", [BadRecord("too long"), ValueError("no topic name")])
def test_a_topic_that_refuses_a_record_is_given_up_alone(broker: MemoryBroker, refusal: Exception) -> None:
    outbox = filled(ONE, TWO)
    outbox.publish_dynamic(Stubborn(broker.publisher(), {ONE: refusal}), broker_answers=True)
    assert outbox.given_up == {ONE: str(refusal)}
    assert len(held(broker, TWO)) == 3


def test_a_topic_that_alone_takes_nothing_keeps_no_other_waiting_and_is_given_up(broker: MemoryBroker) -> None:
    outbox = filled(ONE, TWO)
    publisher = Stubborn(broker.publisher(), {ONE: StreamUnavailable("no leader")})
    for _ in range(MAX_FAILURES - 1):
        with pytest.raises(StreamUnavailable):
            outbox.publish_dynamic(publisher, broker_answers=True)
    assert len(held(broker, TWO)) == 3
    outbox.publish_dynamic(publisher, broker_answers=True)
    assert "no leader" in outbox.given_up[ONE]


def test_a_broker_that_is_away_for_all_costs_no_topic_its_route(broker: MemoryBroker) -> None:
    outbox = filled(ONE)
    broker.go_away()
    for _ in range(MAX_FAILURES + 1):
        with pytest.raises(StreamUnavailable):
            outbox.publish_dynamic(broker.publisher(), broker_answers=False)
    broker.come_back()
    outbox.publish_dynamic(broker.publisher(), broker_answers=True)
    assert len(held(broker, ONE)) == 3 and not outbox.given_up


def test_what_piles_up_is_bounded_and_the_topic_that_has_the_most_is_given_up(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UNSENT_RECORDS", 10)
    outbox = filled(FIXED, count=100)
    outbox.put({ONE: [trade(n, NOON) for n in range(1, 5)], TWO: [trade(n, NOON) for n in range(1, 10)]})
    assert list(outbox.given_up) == [TWO]
    assert outbox.has_unsent(FIXED) and outbox.unsent_dynamic_topics() == [ONE]


def test_what_a_refused_market_s_topic_still_waits_for_is_published_before_it_is_given_up(broker: MemoryBroker) -> None:
    outbox = filled(ONE)
    outbox.give_up_when_sent(ONE, "refused")
    assert outbox.given_up == {ONE: "refused"} and not outbox.ended
    outbox.publish_dynamic(broker.publisher(), broker_answers=True)
    assert len(held(broker, ONE)) == 3
    outbox.put({ONE: [trade(9, NOON)]})
    assert not outbox.has_unsent(ONE), "nothing follows the end"
    assert outbox.ended == {ONE: "refused"}


def test_a_topic_that_takes_nothing_holds_no_refusal_back(broker: MemoryBroker) -> None:
    outbox = filled(ONE)
    outbox.give_up_when_sent(ONE, "refused")
    broker.admin().delete_topic(ONE)
    outbox.publish_dynamic(broker.publisher(), broker_answers=True)
    assert outbox.ended == {ONE: "refused"}


def test_a_backlog_is_published_a_chunk_a_call_in_order(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PUBLISHED_RECORDS", 10)
    outbox = filled(FIXED, count=25)
    for published in (10, 20, 25):
        assert outbox.has_unsent()
        outbox.publish_fixed(broker.publisher())
        assert [record.n for record in held(broker, FIXED)] == list(range(1, published + 1))
    assert outbox.is_empty
    assert [len(records) for _, records in outbox.take_acknowledged()] == [10, 10, 5]


def test_a_refused_record_of_a_chunk_is_the_one_that_is_set_aside(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PUBLISHED_RECORDS", 2)
    outbox = PublishBuffer()
    too_long = trade(4, NOON, "1", id="x" * MAX_RECORD_BYTES)
    outbox.put({FIXED: [opened(1, NOON), trade(2, NOON), trade(3, NOON), too_long, trade(5, NOON)]})
    while not outbox.is_empty:
        outbox.publish_fixed(broker.publisher())
    assert [record.n for record in held(broker, FIXED)] == [1, 2, 3, 5]
    assert [record for record, _ in outbox.refused] == [too_long]


def test_dynamic_topics_share_a_chunk_and_take_turns(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PUBLISHED_RECORDS", 10)
    outbox = filled(ONE, TWO, count=12)
    published = []
    while not outbox.is_empty:
        outbox.publish_dynamic(broker.publisher(), broker_answers=True)
        published.append((len(held(broker, ONE)), len(held(broker, TWO))))
    assert published == [(10, 0), (10, 10), (12, 12)]
    assert [record.n for record in held(broker, TWO)] == list(range(1, 13))


def test_the_fixed_topic_is_full_when_more_than_the_bound_waits(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UNSENT_RECORDS", 10)
    outbox = filled(FIXED, count=10)
    assert not outbox.is_full
    outbox.put({FIXED: [trade(11, NOON)]})
    assert outbox.is_full
    outbox.publish_fixed(broker.publisher())
    assert not outbox.is_full
