"""Ours beside what others would use for the same: the same trades, questions and machine, in the same run, in turns.

Each library does what its own documentation shows, in an environment of its own (peer_installs.py); what cannot be
installed here is named, and left out. TRADES and ROUNDS in the environment set how much is ingested, and how often.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import peer_ingest, peer_reads
from benchmarks.peer_installs import NotHere, questdb_jar
from benchmarks.peer_servers import QuestDB, questdb
from tests.support.kafka.server import PrivateKafka, private_kafka
from tests.support.maven import missing_program


def run() -> Iterator[str]:
    """Measure; Django must be set up on private servers."""
    with ExitStack() as stack:
        quest: QuestDB | None = None
        kafka: PrivateKafka | None = None
        try:
            jar = questdb_jar()
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ck-questdb-"))) / "questdb"
            quest = stack.enter_context(questdb(jar, home))
            yield f"{jar.stem}, every other setting its default"
        except NotHere as exc:
            yield f"QuestDB: not available here: {exc}"
        if missing := missing_program():
            yield f"Kafka: not available here: {missing} is not installed"
        else:
            kafka = stack.enter_context(private_kafka())
        yield from peer_ingest.run(quest, kafka)
        yield from peer_reads.run(quest)
