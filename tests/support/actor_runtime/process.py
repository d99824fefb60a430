"""Actor processes for tests: `python -m tests.support.actor_runtime.process races|work`, on DATABASE_URL."""

from __future__ import annotations

import os
import random
import socket
import sys
from threading import Event

import django

RACERS = 8
WINS_EACH = 5


def races(claims: int) -> None:
    """Race in eight processes, forked from this one, which has imported everything; raise SystemExit if one failed."""
    for _ in range(RACERS):
        if not os.fork():
            return race(claims)
    if failed := [status for _ in range(RACERS) if (status := os.wait()[1])]:
        sys.exit(f"{len(failed)} failed")


def race(claims: int) -> None:
    """Claim, prove to be alone, work, and give back or die, until the row's epoch says that it is enough.

    None leaves before it has won a few times itself: however the machine shares its time out, all eight took part.
    """
    from django.db import connection

    from actor_runtime.loop.session import ActorSession
    from actor_runtime.ownership.claims import claim
    from actor_runtime.ownership.process_identity import this_process
    from consumers.models import FixedTopicConsumer

    won, epoch, pause, rows = 0, 0, Event(), FixedTopicConsumer.objects.filter(name="race-1")
    while epoch < claims or won < WINS_EACH:
        actor = claim(FixedTopicConsumer, "race", this_process())
        if actor is None:
            pause.wait(random.random() / 12)
            epoch = rows.get().epoch
            continue
        won, epoch = won + 1, actor.epoch
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(1)")
            if cursor.fetchone() != (True,):
                sys.exit("two holders at once")
            session = ActorSession(actor, Event())
            session.actor.message_received()
            session.save()
            cursor.execute("SELECT pg_advisory_unlock(1)")
        if random.random() < 0.2:
            # As if killed in the middle: the owner is a process that does not exist.
            rows.filter(epoch=actor.epoch).update(owner=f"{socket.gethostname()}:{os.getpid()}:0")
        else:
            session.release()
    sys.stdout.write(f"{won}\n")


def work(seconds: float) -> None:
    """Run an actor that enters Writing to DB, says so, and stays in its turn for a while."""
    import signal

    from actor_runtime.commands import ActorCommand
    from actor_runtime.loop.actor_loop import Work
    from actor_runtime.loop.session import ActorSession
    from tests.support.actor_runtime.work import Scripted, to_writing

    def long_turn(session: ActorSession) -> None:
        to_writing(session)
        sys.stdout.write(f"writing {os.getpid()}\n")
        sys.stdout.flush()
        Event().wait(seconds)
        session.actor.write_success()
        session.actor.update_cache_success()
        session.save()

    class Command(ActorCommand):
        def work(self, **options: object) -> Work:
            return Scripted(long_turn)

    signal.alarm(60)  # whatever happens to the test, this process ends
    Command().handle()


if __name__ == "__main__":
    django.setup()
    {"races": races, "work": work}[sys.argv[1]](int(sys.argv[2]))
