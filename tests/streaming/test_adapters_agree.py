from __future__ import annotations

from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from streaming.broker import Broker, Record
from streaming.redis.broker import RedisBroker
from tests.support.examples import examples
from tests.support.streaming.contract import TOPIC, messages, numbers, publish
from tests.support.streaming.memory import MemoryBroker
from tests.support.valkey import PrivateValkey

STEPS = st.lists(st.tuples(st.sampled_from(["publish", "poll", "commit", "restart"]), st.integers(1, 60)), max_size=25)


def played(broker: Broker, steps: list[tuple[str, int]]) -> list[object]:
    """Return everything a reader sees of these steps."""
    with closing(broker.admin()) as admin:
        admin.delete_topic(TOPIC)
        admin.create_topic(TOPIC)
    published, open_records = 0, list[Record]()
    seen: list[object] = []
    subscription = broker.subscribe("readers", [TOPIC])
    for step, count in steps:
        if step == "publish":
            publish(broker, messages(published + 1, published + count))
            published += count
        elif step == "poll":
            open_records += (given_now := subscription.poll(0, count))
            seen.append(numbers(given_now))
        elif step == "commit":
            subscription.commit(open_records[:count])
            del open_records[:count]
        else:
            subscription.close()
            open_records, subscription = [], broker.subscribe("readers", [TOPIC])
        seen.append((subscription.lag(), subscription.take_losses()))
    subscription.close()
    return seen


@examples(40)
@given(STEPS)
def test_both_adapters_show_a_reader_the_same(valkey: PrivateValkey, steps: list[tuple[str, int]]) -> None:
    assert played(RedisBroker(valkey.url, 100_000), steps) == played(MemoryBroker(100_000), steps)
