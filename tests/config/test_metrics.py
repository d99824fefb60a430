"""GET /metrics as Prometheus reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django_celery_beat.models import PeriodicTask
from django_redis import get_redis_connection

from config.monitoring.request_timing import route_label
from consumers.models import DynamicTopicConsumer
from coordination.schedules import ensure_schedules
from datastore.access.api_keys import make_key
from datastore.api.urls import urlpatterns
from datastore.dead_letters import DeadLetterRecord, store_dead_letters
from datastore.models import ApiKey, FetchRequest, GapRepair, Market
from datastore.reference.markets import ensure_markets
from datastore.streams import lifecycle, topics
from ingestion.live.metrics import count_trades
from ingestion.models import Producer
from metering import table
from streaming.broker import Message
from streaming.broker_factory import connect
from streaming.refusals import Refusal, RefusalCode
from streaming.topics import CONSUMER_GROUP
from tests.support.api import rows
from tests.support.api.metrics import scraped, value
from tests.support.consumers.dynamic import make_topics, name_of, publish, records, symbol
from tests.support.counting_process import finish, process, said
from tests.support.datastore.records import NOON, SECOND, store, trade, watermark

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def market(db: None) -> Iterator[Market]:
    rows.provider_runs()
    yield ensure_markets([rows.SYMBOL])[0]


def test_every_metric_is_explained_in_the_operations_page_and_no_other_is() -> None:
    documented = set(re.findall(r"`(candlekeep_[a-z_]+)", DOCS.read_text()))
    counted = {next(iter(one.describe())).name + ("_total" if one._type == "counter" else "") for one in table.COUNTED}
    assert documented == counted | {figure.name for figure in table.METRICS}


def test_a_market_is_told_by_its_ages_and_its_gaps_final_ones_apart(client: Client, market: Market) -> None:
    feed = rows.Feed()
    store(feed.opened(), feed.watermark(300))
    start, stop = rows.BEGAN, rows.BEGAN + 3 * rows.MINUTE
    GapRepair.objects.create(market=market, resolution=60, start=start, stop=stop, reason="x")
    GapRepair.objects.create(
        market=market, resolution=60, start=start, stop=start + rows.MINUTE, reason="x", final=True
    )
    before = (datetime.now(UTC) - rows.BEGAN).total_seconds() - 300
    found = scraped(client)
    age = value(found, "feed_age_seconds", market=market.symbol)
    assert age is not None and before - 1 < age < before + 60
    watermark_age = value(found, "watermark_age_seconds", market=market.symbol)
    assert watermark_age == age, "waiting for a dead feed proves nothing"
    where = {"market": market.symbol, "resolution": "60"}
    assert value(found, "gap_seconds", final="no", **where) == 180
    assert value(found, "gaps", final="yes", **where) == 1
    assert value(found, "gaps", final="no", market=market.symbol, resolution="3600") == 0


def test_an_actor_is_one_in_its_state_and_its_silence_is_told(client: Client, market: Market) -> None:
    Producer.objects.create(role="producer-live", name="producer-live-1", owner="here:1:1", heartbeat_at=Now())
    with Producer.locked("producer-live-1") as producer:
        producer.fetch_data()
    found = scraped(client)
    named = {"kind": "producer", "name": "producer-live-1"}
    assert value(found, "actor_state", state="fetching_data", **named) == 1
    assert value(found, "actor_state", state="idle", **named) == 0
    silence = value(found, "actor_heartbeat_age_seconds", **named)
    assert silence is not None and 0 <= silence < 60


def test_a_process_that_is_gone_leaves_no_state_behind(client: Client, market: Market) -> None:
    Producer.objects.create(role="producer-history", name="producer-history-1", owner="here:1:1", heartbeat_at=Now())
    named = {"kind": "producer", "name": "producer-history-1"}
    assert value(scraped(client), "actor_heartbeat_age_seconds", **named) is not None
    Producer.objects.update(owner="", retired_at=Now())
    found = scraped(client)
    assert value(found, "actor_heartbeat_age_seconds", **named) is None
    assert value(found, "actor_state", state="idle", **named) is None


def test_failures_and_resets_are_counted_by_role(client: Client, market: Market) -> None:
    who = {"kind": "producer", "role": "producer-history"}
    before = [value(scraped(client), name, **who) or 0 for name in ("actor_errors_total", "actor_resets_total")]
    Producer.objects.create(role="producer-history", name="producer-history-7")
    with Producer.locked("producer-history-7") as producer:
        producer.fetch_data()
        producer.fetch_failure(reason="x")
        producer.reset(by="a test")
    found = scraped(client)
    assert [value(found, name, **who) for name in ("actor_errors_total", "actor_resets_total")] == [
        count + 1 for count in before
    ]


def test_what_waits_is_told_by_topic_state_and_schedule(client: Client, market: Market) -> None:
    get_redis_connection("default").flushall()
    broker = connect(settings.STREAM_URL, 1000)
    broker.admin().create_topic("tick-data")
    broker.subscribe(CONSUMER_GROUP, ["tick-data"]).close()
    broker.publisher().publish("tick-data", [Message(market.symbol, b"x")] * 3)
    FetchRequest.objects.create(
        market=market, resolution=60, start=rows.BEGAN, stop=rows.BEGAN + rows.MINUTE, purpose=0
    )
    ensure_schedules()
    PeriodicTask.objects.filter(name="Gap scan").update(last_run_at=Now())
    found = scraped(client)
    assert value(found, "consumer_lag_records", topic="tick-data") == 3
    assert value(found, "consumer_lag_records", topic="candle-data") == 0
    assert value(found, "fetch_requests", state="queued") == 1
    assert value(found, "provider_budget_left", provider="cryptocompare", window="second") == value(
        found, "provider_budget_limit", provider="cryptocompare", window="second"
    )
    assert value(found, "schedule_age_seconds", schedule="Gap scan") is not None
    assert value(found, "schedule_age_seconds", schedule="Nightly verify") is None, "it has never run"


def test_topics_that_are_made_at_run_time_are_told_as_one(
    client: Client, market: Market, django_capture_on_commit_callbacks: Any
) -> None:
    get_redis_connection("default").flushall()
    before = value(scraped(client), "refused_total", topic="dynamic", reason="unreadable") or 0
    make_topics(2)
    make_topics(1, there=False, first=2)
    for number in range(2):
        publish(number, records(number, 1))
        letter = DeadLetterRecord(
            name_of(number), symbol(number), Refusal(RefusalCode.UNREADABLE, "JSON is malformed"), b"x", f"1-{number}"
        )
        with django_capture_on_commit_callbacks(execute=True):
            store_dead_letters([letter])
    who = {"kind": "dynamictopicconsumer", "role": "dynamic"}
    failed = value(scraped(client), "actor_errors_total", **who) or 0
    DynamicTopicConsumer.objects.create(name=name_of(0))
    with DynamicTopicConsumer.locked(name_of(0)) as actor:
        actor.subscribe_to_topic()
        actor.subscribe_failure(reason="x")
    found = scraped(client)
    assert value(found, "consumer_lag_records", topic="dynamic") == 6
    assert value(found, "dead_letters", topic="dynamic") == 2
    assert value(found, "refused_total", topic="dynamic", reason="unreadable") == before + 2
    assert value(found, "actor_errors_total", **who) == failed + 1
    assert value(found, "scrape_failed", part="dynamic") == 0


def test_a_cache_that_is_away_costs_its_part_of_the_page_alone(client: Client, market: Market, settings: Any) -> None:
    settings.STREAM_URL = "redis://127.0.0.1:1/0"
    found = scraped(client)
    assert value(found, "scrape_failed", part="stream") == 1
    assert value(found, "scrape_failed", part="markets") == 0
    assert value(found, "consumer_lag_records", topic="tick-data") is None
    assert value(found, "gaps", market=market.symbol, resolution="60", final="no") == 0


def test_a_database_that_is_away_leaves_the_counters(client: Client, market: Market) -> None:
    def away(*_: object) -> None:
        raise OperationalError("gone")

    with connection.execute_wrapper(away):
        found = scraped(client)
    assert value(found, "scrape_failed", part="markets") == 1
    assert value(found, "scrape_failed", part="processes") == 0


def test_streams_and_topics_are_told_by_state(client: Client, market: Market) -> None:
    for timeframe in ("1m", "5m", "1h"):
        made, _ = lifecycle.create(market, timeframe, by="key a")
    lifecycle.end(made.pk, by="key a")
    topics.create_for(made.pk - 1)
    found = scraped(client)
    assert [value(found, "streams", state=state) for state in ("requested", "live", "ended", "failed")] == [2, 0, 1, 0]
    assert value(found, "dynamic_topics", state="creating") == 1
    assert value(found, "dynamic_topics", state="retired") is None


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/api/v1/markets", "/api/v1/markets", "2xx"),
        ("GET", "/api/v1/markets/no:SUCH-ONE", "/api/v1/markets/<path:asked>", "4xx"),
        ("GET", "/api/v1/requests/99", "/api/v1/requests/<number>", "4xx"),
        ("GET", "/api/v1/nowhere/42", "unmatched", "4xx"),
        ("GET", "/none/such", "unmatched", "4xx"),
        ("GET", "/admin/login/", "/admin", "2xx"),
        ("PURGE", "/health/live", "/health/live", "2xx"),
    ],
)
def test_a_request_is_counted_by_route_method_and_class(
    client: Client, market: Market, method: str, path: str, route: str, status: str
) -> None:
    labels = {"route": route, "method": method if method == "GET" else "other", "status": status}
    before = value(scraped(client), "http_request_seconds_count", **labels) or 0
    client.generic(method, path)
    assert value(scraped(client), "http_request_seconds_count", **labels) == before + 1


def test_every_route_of_the_api_is_a_label_without_regular_expressions() -> None:
    labels = [route_label(f"api/v1/{pattern.pattern}") for pattern in urlpatterns]
    assert not [label for label in labels if set(label) & set("()?$^[\\")]


def test_trades_are_counted_by_market_and_the_latest_of_a_batch_by_its_lateness(client: Client, market: Market) -> None:
    before = scraped(client)
    count_trades(
        [
            trade(1, NOON, market="a:B-C", received_at=NOON + SECOND),
            trade(2, NOON, market="a:B-C", received_at=NOON + 4 * SECOND),
            watermark(3, NOON, market="a:B-C"),
        ]
    )
    found = scraped(client)

    def more(name: str, /, **labels: str) -> float:
        return (value(found, name, **labels) or 0) - (value(before, name, **labels) or 0)

    assert more("trades_received_total", market="a:B-C") == 2
    assert more("trade_lateness_seconds_count", stage="feed") == 1
    assert more("trade_lateness_seconds_sum", stage="feed") == 4


@pytest.mark.django_db(transaction=True)
def test_refused_records_are_counted_once_they_are_kept(client: Client) -> None:
    labels = {"topic": "tick-data", "reason": "unknown_market"}
    letters = [DeadLetterRecord("tick-data", "x:Y-Z", Refusal(RefusalCode.UNKNOWN_MARKET, "unknown market"), b"raw")]
    before = value(scraped(client), "refused_total", **labels) or 0
    with pytest.raises(RuntimeError), transaction.atomic():
        store_dead_letters(letters)
        raise RuntimeError
    assert (value(scraped(client), "refused_total", **labels) or 0) == before, "it was taken back"
    store_dead_letters(letters)
    found = scraped(client)
    assert value(found, "refused_total", **labels) == before + 1
    assert value(found, "dead_letters", topic="tick-data") == 1


def test_every_code_of_a_refusal_is_documented_as_a_label() -> None:
    (row,) = [line for line in DOCS.read_text().splitlines() if line.startswith("| `candlekeep_refused_total`")]
    assert set(re.findall(r"[a-z_]+", row.rpartition("reason: ")[2])) == {code.value for code in RefusalCode}


def test_an_answer_is_counted_by_its_source(client: Client, market: Market) -> None:
    before = value(scraped(client), "answers_total", source="ready") or 0
    table.count_answer("ready")
    assert value(scraped(client), "answers_total", source="ready") == before + 1


def test_a_scrape_makes_no_group_and_a_topic_without_one_is_unread(client: Client, market: Market) -> None:
    broker = connect(settings.STREAM_URL, settings.STREAM_MAXLEN, settings.KAFKA)
    key = "candlekeep:topic:candle-data"
    with get_redis_connection("default") as redis:
        redis.delete(key)
        broker.admin().create_topic("candle-data")
        broker.publisher().publish("candle-data", [Message(market.symbol, b"1"), Message(market.symbol, b"2")])
        assert value(scraped(client), "consumer_lag_records", topic="candle-data") == 2
        assert redis.xinfo_groups(key) == []
        redis.delete(key)


def test_metrics_follow_the_rule_of_reading(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "REQUIRE_API_KEY", True)
    refused = client.get("/metrics")
    assert (refused.status_code, refused["Content-Type"]) == (401, "application/problem+json")
    assert "create_api_key" in refused.json()["detail"]
    key, text = make_key("prometheus", ApiKey.Scope.READ)
    key.save()
    assert client.get("/metrics", headers={"Authorization": f"Bearer {text}"}).status_code == 200


@pytest.mark.slow
def test_the_page_adds_up_what_other_processes_have_counted_also_dead_ones(
    client: Client, market: Market, tmp_path: Path, settings: Any
) -> None:
    settings.METRICS_DIR = str(tmp_path)
    for count in (3, 4):
        counting = process(tmp_path, count)
        assert said(counting) == ["None", "counted"]
        finish(counting)
    assert value(scraped(client), "trades_stored_total", market="coinbase:BTC-USD") == 7


def test_a_folder_of_counters_that_cannot_be_read_costs_the_counters_alone(
    client: Client, market: Market, tmp_path: Path, settings: Any
) -> None:
    settings.METRICS_DIR = str(tmp_path / "gone")
    found = scraped(client)
    assert value(found, "scrape_failed", part="processes") == 1
    assert value(found, "scrape_failed", part="markets") == 0
