from __future__ import annotations

import re
from io import StringIO
from threading import Event

import pytest
from django.core.management import CommandError, call_command

from actor_runtime.loop.session import ActorSession
from actor_runtime.models import TransitionLog
from config.monitoring.status import overview
from consumers.models import FixedTopicConsumer
from datastore.reference.markets import ensure_markets
from ingestion.models import Producer
from tests.support.actor_runtime.work import owned, to_writing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def errored() -> None:
    session = ActorSession(owned("host:17:99"), Event())
    to_writing(session)
    session.actor.write_failure(reason="disk full")
    session.save()


def test_reset_actor_resets_by_name_and_signs_the_log(errored: None) -> None:
    out = StringIO()
    call_command("reset_actor", "fixed-tick-1", stdout=out)
    assert out.getvalue() == "fixed-tick-1 is reset.\n"
    assert FixedTopicConsumer.objects.get().state == "idle"
    assert TransitionLog.objects.get(event="RESET").by.endswith("(reset_actor)")


def test_reset_actor_refuses_an_actor_that_is_not_in_error() -> None:
    owned()
    with pytest.raises(CommandError, match="fixed-tick-1 is not in Error but in Idle"):
        call_command("reset_actor", "fixed-tick-1")


def test_reset_actor_says_where_to_look_for_names() -> None:
    with pytest.raises(CommandError, match="no actor named nobody-1"):
        call_command("reset_actor", "nobody-1")


def test_reset_actor_asks_for_the_kind_where_a_name_is_not_enough(errored: None) -> None:
    Producer.objects.create(name="fixed-tick-1")
    with pytest.raises(CommandError, match="--kind fixedtopicconsumer"):
        call_command("reset_actor", "fixed-tick-1")
    call_command("reset_actor", "fixed-tick-1", kind="fixedtopicconsumer", stdout=StringIO())
    assert FixedTopicConsumer.objects.get().state == "idle"


def test_status_shows_every_kind_every_actor_and_every_market(errored: None) -> None:
    ensure_markets(["coinbase:BTC-USD"])
    out = StringIO()
    call_command("status", stdout=out)
    text = " ".join(out.getvalue().split())
    said = r"fixed topic consumer fixed-tick-1 Error \d s host:17:99 \d s ago, not overcome: disk full"
    assert re.search(said, text)
    for kind in ("producer", "coordinator", "dynamic topic consumer", "datastore request"):
        assert f"{kind} none yet" in text
    assert "coinbase:BTC-USD none nothing yet" in text
    assert "Database: plain PostgreSQL" in text or "Database: TimescaleDB" in text


def test_status_says_that_growth_is_not_known_yet(errored: None) -> None:
    assert "Growth: not known yet. Less than a quarter of an hour of trades" in overview()


def test_status_fits_the_terminal(errored: None) -> None:
    FixedTopicConsumer.objects.update(last_error="x" * 1000)
    assert max(map(len, overview(120).splitlines())) == 120
