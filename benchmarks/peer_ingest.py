"""The same trades out of a stream into a store with candles: ours beside others, in turns, by the clock and by CPU.

Each way is one process that has imported everything before the clock starts. CPU counts that process, its store and
its stream, with all that they started.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil
from django.conf import settings
from django.db import connection

from benchmarks import trades
from benchmarks.ingest import MARKETS, ORDINARY_TABLES, clear_database
from benchmarks.peer_installs import NotHere, python_with
from benchmarks.peer_servers import QuestDB, cpu_of, own_child, postgres_process, program
from benchmarks.scale import publish
from streaming.broker import Message
from streaming.broker_factory import connect
from streaming.errors import PublishFailed
from tests.support.kafka.server import PrivateKafka
from tests.support.polling import until

TRADES = int(os.environ.get("TRADES", "200000"))
TRADES_PER_MINUTE = 231  # of each market
ROUNDS = int(os.environ.get("ROUNDS", "3"))
TIMEOUT_S = 600.0
LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Way:
    """One way from a stream to candles; count: how many trades its candles hold; servers: what its CPU includes."""

    name: str
    program: str
    python: str
    stream_url: str
    servers: Sequence[psutil.Process]
    prepare: Callable[[], None]
    count: Callable[[], int]
    note: str
    env: Callable[[], dict[str, str]] = dict


@dataclass(slots=True)
class Turns:
    """What a way needed in each of its turns."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    versions: str = ""


def run(quest: QuestDB | None, kafka: PrivateKafka | None) -> Iterator[str]:
    """Measure every way that is available here; yield the lines to print as soon as they are known."""
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ck-quix-")))
        ways, missing = [], []
        for make in (*OURS_AND_PLAIN, *QUESTDB, *KAFKA):
            try:
                ways.append(make(quest, kafka, state))
            except NotHere as exc:
                missing.append(f"  not available here: {exc}")
        ready = trades.messages(list(trades.records(trades.symbols(MARKETS), TRADES_PER_MINUTE, TRADES)))
        turns: dict[str, Turns] = {way.name: Turns() for way in ways}
        for number in range(ROUNDS):
            for way in ways if number % 2 == 0 else reversed(ways):
                _measure(way, ready, turns[way.name])

    ours = turns[ways[0].name]
    yield f"stream -> candles: {TRADES:,} trades of {MARKETS} markets, one process each, medians of {ROUNDS} turns"
    for way in ways:
        yield _line(way, turns[way.name], ours)
    yield from missing
    for versions in sorted({one.versions for one in turns.values()}):
        yield f"  {versions}"


def _line(way: Way, found: Turns, ours: Turns) -> str:
    seconds, cpu = median(found.seconds), median(found.cpu)
    return (
        f"  {way.name:<34}{TRADES / seconds:>9,.0f} trades/s, ours {seconds / median(ours.seconds):.2f} times as many;"
        f" CPU {cpu / TRADES * 1e6:>4.0f} us a trade, {cpu / median(ours.cpu):.2f} times ours; {way.note}"
    )


def _measure(way: Way, ready: list[Message], turns: Turns) -> None:
    """Publish everything, let a way store it, and note what that took."""
    way.prepare()
    _fill(way.stream_url, ready)
    with program(way.program, way.python, {"STREAM_URL": way.stream_url, **way.env()}) as (child, turns.versions):
        assert child.stdout
        assert child.stdout.readline() == "began\n", f"{way.name} did not begin"
        cpu = [psutil.Process(child.pid), *way.servers]
        before, began = sum(map(cpu_of, cpu)), time.perf_counter()
        until(
            f"{way.name} has stored everything",
            lambda: child.poll() is not None or way.count() >= TRADES,
            TIMEOUT_S,
            longest_pause=LOOK_EVERY_S,
        )
        turns.seconds.append(time.perf_counter() - began)
        turns.cpu.append(sum(map(cpu_of, cpu)) - before)
    found = way.count()
    assert found == TRADES, f"{way.name}: its candles hold {found:,} trades"


def _fill(url: str, ready: list[Message]) -> None:
    """Publish everything to a new topic; once more where a busy machine's broker took too long."""
    broker = connect(url, settings.STREAM_MAXLEN, settings.KAFKA)
    try:
        publish(broker, ready)
    except PublishFailed:
        publish(broker, ready)


def _count_of(table: str, where: str = "") -> Callable[[], int]:
    def count() -> int:
        with connection.cursor() as cursor:
            cursor.execute("select to_regclass(%s)", [table])
            if cursor.fetchone() == (None,):
                return 0
            cursor.execute(f"select coalesce(sum(trades), 0) from {table} {where}")
            return int(cursor.fetchone()[0])

    return count


def _empty() -> None:
    from consumers.models import FixedTopicConsumer

    clear_database()
    FixedTopicConsumer.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("drop table if exists quix_trade, quix_candle")
        cursor.execute(ORDINARY_TABLES)


def _ours(stream: str, url: str, server: str) -> Way:
    servers = [postgres_process(), own_child(server)]
    note = "exact, no repeats, certificate"
    name = f"ours, {stream}, one consumer"
    return Way(
        name, "ours", sys.executable, url, servers, _empty, _count_of("candle", "where resolution = 86400"), note
    )


def _ours_on_redis(quest: QuestDB | None, kafka: PrivateKafka | None, state: Path) -> Way:
    return _ours("Redis Streams", settings.REDIS_URL, "valkey-server")


def _ours_on_kafka(quest: QuestDB | None, kafka: PrivateKafka | None, state: Path) -> Way:
    if kafka is None:
        raise NotHere("ours on Kafka: there is no Kafka")
    return _ours("Kafka", kafka.url, "kafka.Kafka")


def _plain(quest: QuestDB | None, kafka: PrivateKafka | None, state: Path) -> Way:
    servers, url = [postgres_process(), own_child("valkey-server")], settings.REDIS_URL
    name, note = "plain sink, redis-py and psycopg", "exact, no repeats"
    return Way(name, "plain_sink", sys.executable, url, servers, _empty, _count_of("ordinary_candle"), note)


def _questdb(how: str, program: str) -> Callable[[QuestDB | None, PrivateKafka | None, Path], Way]:
    def make(quest: QuestDB | None, kafka: PrivateKafka | None, state: Path) -> Way:
        if quest is None:
            raise NotHere(f"QuestDB, {how}: there is no QuestDB")
        servers = [quest.process, own_child("valkey-server")]
        env = {"QUESTDB_CONF": f"http::addr=127.0.0.1:{quest.port};"}
        return Way(
            f"QuestDB, {how}",
            program,
            python_with("questdb"),
            settings.REDIS_URL,
            servers,
            quest.make_tables,
            quest.stored,
            "floats, repeats are kept",
            lambda: env,
        )

    return make


def _quix(quest: QuestDB | None, kafka: PrivateKafka | None, state: Path) -> Way:
    if kafka is None:
        raise NotHere("Quix Streams: there is no Kafka")
    access = connection.get_connection_params()
    servers = [postgres_process(), own_child("kafka.Kafka")]

    def env() -> dict[str, str]:
        folder = state / "state"
        shutil.rmtree(folder, ignore_errors=True)
        return {
            "PEER_KAFKA": kafka.url.removeprefix("kafka://"),
            "PEER_GROUP": f"quix-{uuid.uuid4().hex}",
            "PEER_STATE": str(folder),
            "PEER_DATABASE": access["dbname"],
            "PEER_DATABASE_HOST": access["host"],
            "PEER_DATABASE_USER": access["user"],
        }

    return Way(
        "Quix Streams, Kafka to PostgreSQL",
        "quix_candles",
        python_with("quix"),
        kafka.url,
        servers,
        _empty,
        _count_of("quix_candle"),
        "floats, repeats are kept",
        env,
    )


OURS_AND_PLAIN = (_ours_on_redis, _plain)
QUESTDB = (_questdb("rows by its client", "quest_rows"), _questdb("data frames by its client", "quest_frames"))
KAFKA = (_ours_on_kafka, _quix)
