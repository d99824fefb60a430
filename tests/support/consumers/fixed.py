"""Records of a fixed topic, and a consumer that works through them in the test's own process."""

from __future__ import annotations

from threading import Event

from actor_runtime.loop.runner import Runner
from consumers.fixed_consumer_actor import FixedTopicWork
from streaming.broker import Broker, Message
from streaming.records import LiveRecord, encode
from streaming.topics import CONSUMER_GROUP
from tests.support.datastore.records import NOON, SECOND, opened, trade, watermark
from tests.support.polling import until

TOPIC = "tick-data"


def session_records(count: int = 30) -> list[LiveRecord]:
    """Return a feed's opening, trades every ten seconds and its claims."""
    found: list[LiveRecord] = [opened(1, NOON)]
    for index in range(count):
        ts = NOON + (index + 1) * 10 * SECOND
        found.append(trade(len(found) + 1, ts, price=str(100 + index % 7), amount="0.1"))
        found.append(watermark(len(found) + 1, ts - 5 * SECOND))
    return found


def publish(broker: Broker, records: list[LiveRecord]) -> None:
    broker.publisher().publish(TOPIC, [Message(record.market, encode(record)) for record in records])


def work_until_drained(broker: Broker, seconds: float = 20) -> Runner:
    runner = Runner(FixedTopicWork(TOPIC), Event())
    reader = broker.subscribe(CONSUMER_GROUP, [TOPIC])

    def idle() -> bool:
        return runner.loop is not None and str(runner.loop.session.actor.state) == "idle"

    until(
        lambda: runner.loop and runner.loop.session.actor.last_error,
        lambda: not reader.lag() and idle(),
        seconds,
        step=runner.step,
    )
    return runner
