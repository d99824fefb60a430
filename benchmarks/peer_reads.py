"""The newest 500 candles of a market over HTTP: ours, QuestDB's, and FastAPI with asyncpg on our own table, in turns.

CPU counts the process that answers with its database and cache. Nothing is written meanwhile but what keeps our market
current, as its consumer would: twice a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from threading import Event, Thread
from urllib.parse import quote

import httpx
import psutil
from django.conf import settings
from django.db import connection, connections

from benchmarks.load import Load, LoadResult, generate_load
from benchmarks.made_year import make_year
from benchmarks.peer_installs import NotHere, python_with
from benchmarks.peer_servers import QuestDB, cpu_of, own_child, postgres_process, program
from benchmarks.question import STILL_LIVE
from benchmarks.year import web_process
from config.supervision.embedded_servers import free_port
from datastore.db.queries import execute
from datastore.ingest import market_cache
from datastore.models import Market
from tests.support.polling import until

SYMBOL = "coinbase:PEERS-USD"
MINUTES = 2_000  # all of them live
ROUNDS = int(os.environ.get("ROUNDS", "3"))
LOAD_S, CONNECTIONS = 3.0, 8
CONFIRM_EVERY_S = 0.5
OURS = f"/api/v1/candles?market={SYMBOL}&timeframe=1m"
QUEST = f"select timestamp, open, high, low, close, volume from candles where symbol = '{SYMBOL}'"


@dataclass(slots=True)
class Question:
    """What is asked, of which port, and of whom the CPU counts; {n} in the path differs each time."""

    name: str
    port: int
    path: str
    servers: Sequence[psutil.Process]
    answers: list[LoadResult] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # seconds an answer


def run(quest: QuestDB | None) -> Iterator[str]:
    """Measure; Django must be set up on private servers."""
    Market.objects.filter(pk=make_year(SYMBOL, MINUTES).pk).update(followed=True)
    with ExitStack() as stack:
        stack.enter_context(_kept_current())
        port, web = stack.enter_context(web_process({"RATE_LIMIT_PER_ADDRESS": "6000000"}))
        postgres, valkey = postgres_process(), own_child("valkey-server")
        ours = [psutil.Process(web), postgres, valkey]
        questions = [Question("ours, hot", port, OURS, ours), Question("ours, cold", port, f"{OURS}&to={{n}}", ours)]
        missing, versions = [], ""
        if quest is None:
            missing.append("QuestDB")
        else:
            questions += _of_questdb(quest)
        try:
            env = {"PEER_PORT": str(fast := free_port()), "PEER_DSN": settings.DATABASE_URL}
            child, versions = stack.enter_context(program("asyncpg_api", python_with("fastapi"), env))
            until("FastAPI answers", lambda: _answers(fast), 60)
            process = [psutil.Process(child.pid), postgres]
            for name, address in (("FastAPI, asyncpg", "candles"), ("FastAPI, asyncpg, orjson", "candles-orjson")):
                questions.append(Question(name, fast, f"/{address}?market={SYMBOL}&to={{n}}", process))
        except NotHere as exc:
            missing.append(f"FastAPI with asyncpg: {exc}")

        for number in range(-1, ROUNDS):  # the first one warms up
            for question in questions if number % 2 == 0 else reversed(questions):
                _ask(question, is_counted=number >= 0)
    yield f"newest 500 candles over HTTP, {CONNECTIONS} connections, medians of {ROUNDS} turns of {LOAD_S:g} s"
    yield from (_line(question, questions[0]) for question in questions)
    yield from (f"  not available here: {one}" for one in missing)
    if versions:
        yield f"  {versions}"


def _line(question: Question, hot: Question) -> str:
    rate, hot_rate = (median(one.rate for one in some.answers) for some in (question, hot))
    p50, p99 = (median(getattr(one, name) for one in question.answers) for name in ("p50", "p99"))
    cpu = median(question.cpu)
    return (
        f"  {question.name:<28}{rate:>7,.0f} requests/s, {rate / hot_rate:.2f} of our hot rate; CPU {cpu * 1000:.2f} ms"
        f" each, {cpu / median(hot.cpu):.1f} times ours hot; p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )


def _ask(question: Question, is_counted: bool) -> None:
    before = sum(map(cpu_of, question.servers))
    load = Load(question.port, question.path, LOAD_S, CONNECTIONS, first=int(time.time() * 1000) - 10**6)
    answers = generate_load(load)
    if is_counted:
        question.answers.append(answers)
        question.cpu.append((sum(map(cpu_of, question.servers)) - before) / sum(answers.statuses.values()))


@contextmanager
def _kept_current() -> Iterator[None]:
    """Confirm the market as its consumer would, as long as the block lasts."""
    stop = Event()

    def confirm() -> None:
        while not stop.wait(CONFIRM_EVERY_S):
            for statement in STILL_LIVE:
                execute(statement)
            market_cache.write_followed()
        connections.close_all()

    thread = Thread(target=confirm)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _of_questdb(quest: QuestDB) -> list[Question]:
    """Store the same candles in QuestDB, and return what it is asked."""
    quest.drop_tables()
    quest.execute(
        "create table candles (symbol symbol, open double, high double, low double, close double, volume double,"
        " timestamp timestamp) timestamp(timestamp) partition by day wal"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "select open, high, low, close, volume, open_time from candle"
            " where resolution = 60 and market_id = (select id from market where symbol = %s)",
            [SYMBOL],
        )
        rows = cursor.fetchall()
    names = ("open", "high", "low", "close", "volume")
    lines = []
    for *values, open_time in rows:
        columns = ",".join(f"{name}={float(value)}" for name, value in zip(names, values, strict=True))
        lines.append(f"candles,symbol={SYMBOL} {columns} {_nanos(open_time)}")
    answer = httpx.post(f"http://127.0.0.1:{quest.port}/write", content="\n".join(lines) + "\n", timeout=60)
    answer.raise_for_status()
    until("QuestDB has the candles", lambda: quest.execute("select count() from candles") == [[len(rows)]], 60)

    newest = " order by timestamp desc limit 500"
    process = [quest.process]
    hot = Question("QuestDB /exec, the same", quest.port, f"/exec?query={quote(QUEST + newest)}", process)
    before = quote(f"{QUEST} and timestamp < ") + "{n}000" + quote(newest)
    return [hot, Question("QuestDB /exec, another each", quest.port, f"/exec?query={before}", process)]


def _nanos(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000


def _answers(port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/candles-orjson", params={"market": SYMBOL}).status_code == 200
    return False
