"""Dead letters published again, and what the ordinary consumer makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django_redis import get_redis_connection

from datastore.dead_letters import NotReplayable, replay
from datastore.ingest.live_write import digest
from datastore.models import Candle, Coverage, DeadLetter, FeedPosition, Market, Tick
from datastore.reference.markets import ensure_markets
from streaming.broker import Broker, Message
from streaming.broker_factory import connect
from streaming.records import LiveRecord
from tests.support.consumers.fixed import TOPIC, publish, work_until_drained
from tests.support.datastore.records import BTC, ETH, MINUTE, NOON, SECOND, moment, opened, trade, watermark


@pytest.fixture
def broker(transactional_db: None) -> Iterator[Broker]:
    ensure_markets([BTC])
    get_redis_connection("default").flushall()
    found = connect(settings.STREAM_URL, settings.STREAM_MAXLEN)
    found.admin().create_topic(TOPIC)
    yield found


def ether(first: int = 1) -> list[LiveRecord]:
    """Return a feed of a market: three trades in a minute that it then claims."""
    made: list[LiveRecord] = [opened(first, NOON, market=ETH)]
    for place, price in enumerate(("10", "12", "11"), start=first + 1):
        made.append(trade(place, NOON + (place - first) * 10 * SECOND, price, "2", market=ETH))
    return [*made, watermark(first + 4, NOON + 2 * MINUTE, market=ETH)]


def spans() -> list[tuple[object, object, str | None]]:
    return list(Coverage.objects.order_by("start").values_list("start", "stop", "reason"))


def letters() -> list[DeadLetter]:
    return list(DeadLetter.objects.order_by("pk"))


def test_records_of_an_unknown_market_are_stored_and_prove_their_time_once_it_is_known(broker: Broker) -> None:
    publish(broker, ether())
    work_until_drained(broker).end()
    assert {letter.reason for letter in letters()} == {"unknown market"}
    (market,) = ensure_markets([ETH])
    for letter in letters():
        replay(letter, by="ada")
    work_until_drained(broker).end()
    candle = Candle.objects.get(market=market, resolution=60)
    assert [str(value) for value in (candle.open, candle.high, candle.low, candle.close, candle.volume)] == [
        "10",
        "12",
        "10",
        "11",
        "6",
    ]
    assert spans() == [(moment(NOON), moment(NOON + 2 * MINUTE), None)]
    assert DeadLetter.objects.count() == 5, "nothing was refused again"
    assert all(letter.replayed_at and letter.replayed_by == "ada" for letter in letters())


def test_a_trade_of_an_old_number_is_stored_and_leaves_every_claim_as_it_was(broker: Broker) -> None:
    publish(broker, ether())
    work_until_drained(broker).end()
    (market,) = ensure_markets([ETH])
    publish(broker, [opened(10, NOON + 5 * MINUTE, market=ETH), watermark(11, NOON + 9 * MINUTE, market=ETH)])
    work_until_drained(broker).end()
    before = spans(), list(FeedPosition.objects.values())
    assert before[0]
    for letter in letters():
        if b'"type":"trade"' in bytes(letter.raw):
            replay(letter, by="ada")
    work_until_drained(broker).end()
    assert Tick.objects.filter(market=market).count() == 3
    assert str(Candle.objects.get(market=market, resolution=86400).close) == "11"
    assert (spans(), list(FeedPosition.objects.values())) == before


def test_a_replay_of_what_is_stored_changes_nothing(broker: Broker) -> None:
    publish(broker, ether())
    work_until_drained(broker).end()
    (market,) = ensure_markets([ETH])
    seen = []
    for _ in range(2):
        for letter in letters():
            replay(letter, by="ada")
        work_until_drained(broker).end()
        seen.append((digest(market), Market.objects.get(pk=market.pk).version, spans(), Tick.objects.count()))
    assert seen[0] == seen[1]
    assert seen[0][3] == 3


def test_what_is_refused_again_becomes_a_letter_of_its_own(broker: Broker) -> None:
    broker.publisher().publish(TOPIC, [Message(BTC, b'{"type":"trade"}')])
    work_until_drained(broker).end()
    (first,) = letters()
    replay(first, by="ada")
    work_until_drained(broker).end()
    old, new = letters()
    assert (new.reason, bytes(new.raw), new.replayed_at) == (old.reason, bytes(old.raw), None)
    assert new.position != old.position and old.replayed_at


def test_a_frame_of_the_provider_and_a_letter_of_a_lost_topic_cannot_be_replayed(broker: Broker) -> None:
    frame = DeadLetter.objects.create(topic=TOPIC, market=BTC, reason="not JSON", raw=b"<html>")
    with pytest.raises(NotReplayable, match="never became a record"):
        replay(frame, by="ada")
    lost = DeadLetter.objects.create(topic="dyn-gone-g1", market=BTC, reason="x", raw=b"{}", position="1-0")
    with pytest.raises(NotReplayable, match="dyn-gone-g1 no longer exists"):
        replay(lost, by="ada")
    assert not DeadLetter.objects.exclude(replayed_at=None).exists()
