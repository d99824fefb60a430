"""The one list of metrics. docs/operations.md explains each; a test compares the two.

Counters and histograms are counted by the processes, once per batch or call. Gauges are states: they are read from the
rows at each scrape, so what a dead process left behind never shows. Labels are bounded: routes, not paths; classes of
reasons, not sentences; roles, not names of requests. Help texts are short: every process's file holds them.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import Counter, Histogram, disable_created_metrics

disable_created_metrics()  # creation times mean nothing if files outlive processes
PREFIX = "candlekeep_"
DELAY_BUCKETS_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)
WORK_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
RECORD_BUCKETS = (1, 5, 20, 50, 100, 250, 500, 1000, 2500, 5000)  # records


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """A gauge: a state that is read at each scrape."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(PREFIX + name, text, labels, registry=None)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(PREFIX + name, text, labels, registry=None, buckets=buckets)


def _gauge(name: str, text: str, *labels: str) -> MetricDefinition:
    return MetricDefinition(PREFIX + name, text, labels)


# --- counted by the processes ---
TRADES_RECEIVED = _counter("trades_received_total", "Trades published by the live producer.", "market")
TRADES_STORED = _counter("trades_stored_total", "Trades stored for the first time.", "market")
STORING_SECONDS = _counter("trade_storing_seconds_total", "From receipt to storage, summed over trades.", "market")
LATENESS = _histogram("trade_lateness_seconds", "The latest trade of each batch.", DELAY_BUCKETS_S, "stage")
BATCH_RECORDS = _histogram("batch_records", "Records of a batch.", RECORD_BUCKETS, "topic")
BATCH_SECONDS = _histogram("batch_seconds", "Time that a batch took.", WORK_BUCKETS_S, "topic", "part")
CLAIMS_TAKEN_BACK = _counter("claims_taken_back_seconds_total", "Proven time that is no longer claimed.", "market")
IDS_SHARED = _counter("trade_ids_shared_total", "Trades stored under their number: their id was another's.", "market")
SPANS_ENDED = _counter("spans_ended_total", "Ends of proven live spans.", "code")
RECORDS_LOST = _counter("records_lost_total", "Records trimmed before they were read.", "topic")
REFUSED = _counter("refused_total", "Records put among the dead letters.", "topic", "reason")
PROVIDER_CALLS = _counter("provider_calls_total", "Calls of the provider's REST API.", "outcome")
PROVIDER_WARNINGS = _counter("provider_warnings_total", "Usable answers of the provider's that came with a warning.")
PROVIDER_SECONDS = _histogram("provider_call_seconds", "Time that such a call took.", WORK_BUCKETS_S)
ACTOR_ERRORS = _counter("actor_errors_total", "Failures that led an actor to Error.", "kind", "role")
ACTOR_RESETS = _counter("actor_resets_total", "Resets of actors.", "kind", "role")
ACTOR_TAKEOVERS = _counter("actor_takeovers_total", "Actors taken over from a dead owner.", "kind", "role")
ANSWERS = _counter("answers_total", "Answers with candles.", "source")
HTTP_SECONDS = _histogram("http_request_seconds", "Requests answered.", WORK_BUCKETS_S, "route", "method", "status")
RECONCILED = _counter("reconciled_candles_total", "Candles compared with the provider's.", "market")
DIFFERENCES = _counter("reconciliation_differences_total", "Candles unlike the provider's.", "market")
VERIFIED = _counter("verified_candles_total", "Candles compared with their trades.", "market")
CLAIMS_OF_WRONG_TIME = _counter("claims_taken_back_total", "Times that coverage of a market was taken back.")
UNLIKE_TRADES = _counter("verify_differences_total", "Candles unlike their trades.", "market")
TOPIC_SECONDS = _histogram("topic_seconds", "From a dynamic topic's request to the step.", DELAY_BUCKETS_S, "step")
TOPIC_FAILURES = _counter("topic_failures_total", "Dynamic topics given up.", "reason")
SSE_EVENTS = _counter("sse_events_total", "Events sent to those who follow a series.")
SSE_MERGED = _counter("sse_merged_total", "Changes that reached a slow reader as part of a later one.")
SSE_SNAPSHOTS = _counter("sse_snapshots_total", "Snapshots instead of changes.")
SSE_CUT = _counter("sse_cut_total", "Connections cut because they took nothing.")
SSE_DELAY = _histogram(
    "sse_delay_seconds", "From a change's commit to its hand-over to all who follow.", DELAY_BUCKETS_S
)

COUNTED: tuple[Counter | Histogram, ...] = (
    TRADES_RECEIVED,
    TRADES_STORED,
    STORING_SECONDS,
    LATENESS,
    BATCH_RECORDS,
    BATCH_SECONDS,
    CLAIMS_TAKEN_BACK,
    IDS_SHARED,
    SPANS_ENDED,
    RECORDS_LOST,
    REFUSED,
    PROVIDER_CALLS,
    PROVIDER_WARNINGS,
    PROVIDER_SECONDS,
    ACTOR_ERRORS,
    ACTOR_RESETS,
    ACTOR_TAKEOVERS,
    ANSWERS,
    HTTP_SECONDS,
    RECONCILED,
    DIFFERENCES,
    VERIFIED,
    CLAIMS_OF_WRONG_TIME,
    UNLIKE_TRADES,
    TOPIC_SECONDS,
    TOPIC_FAILURES,
    SSE_EVENTS,
    SSE_MERGED,
    SSE_SNAPSHOTS,
    SSE_CUT,
    SSE_DELAY,
)

# --- read at each scrape ---
WATERMARK_AGE = _gauge("watermark_age_seconds", "Provider's time since the newest proven time of the market.", "market")
FEED_AGE = _gauge("feed_age_seconds", "Provider's time since the newest proven time of the feed.", "market")
GAPS = _gauge("gaps", "Holes known to the gap scan.", "market", "resolution", "final")
GAP_SECONDS = _gauge("gap_seconds", "Time that these holes cover.", "market", "resolution", "final")
GAP_REASONS = _gauge("gaps_by_reason", "These holes by the kind of their reason.", "code")
LIVE_PROOF = _gauge("live_proof", "1 for what the market's newest proven time rests on.", "market", "proof")
MISSING_TRADES = _gauge("missing_trades", "Trades that are missing by the venue's ids.", "market")
DEAD_LETTERS = _gauge("dead_letters", "Records in quarantine.", "topic")
FETCH_REQUESTS = _gauge("fetch_requests", "Requests for history.", "state")
OLDEST_FETCH = _gauge("fetch_request_age_seconds", "Age of the oldest request for history under way.")
ACTOR_STATE = _gauge("actor_state", "1 for the actor's state, 0 for the others.", "kind", "name", "state")
HEARTBEAT_AGE = _gauge("actor_heartbeat_age_seconds", "Since the actor's last sign of life.", "kind", "name")
DATASTORE_REQUESTS = _gauge("datastore_requests", "Questions that had to fetch.", "state")
STREAMS = _gauge("streams", "Streams.", "state")
DYNAMIC_TOPICS = _gauge("dynamic_topics", "Dynamic topics that are not retired.", "state")
SCHEDULE_AGE = _gauge("schedule_age_seconds", "Since beat last sent the task.", "schedule")
RECONCILED_AGE = _gauge("reconciled_age_seconds", "Provider's time since the newest minute compared.", "market")
LAG = _gauge("consumer_lag_records", "Records that wait for their consumer.", "topic")
BUDGET_LEFT = _gauge("provider_budget_left", "Calls that the window still allows.", "provider", "window")
BUDGET_LIMIT = _gauge("provider_budget_limit", "Calls that the window allows in all.", "provider", "window")
SSE_FOLLOWERS = _gauge("sse_followers", "Connections that follow a series.", "process")
MISSING_PART = _gauge("scrape_failed", "1 where a part of this page could not be read.", "part")

METRICS: tuple[MetricDefinition, ...] = (
    WATERMARK_AGE,
    FEED_AGE,
    GAPS,
    GAP_SECONDS,
    GAP_REASONS,
    LIVE_PROOF,
    MISSING_TRADES,
    DEAD_LETTERS,
    FETCH_REQUESTS,
    OLDEST_FETCH,
    ACTOR_STATE,
    HEARTBEAT_AGE,
    DATASTORE_REQUESTS,
    STREAMS,
    DYNAMIC_TOPICS,
    SCHEDULE_AGE,
    RECONCILED_AGE,
    LAG,
    BUDGET_LEFT,
    BUDGET_LIMIT,
    SSE_FOLLOWERS,
    MISSING_PART,
)


def count_answer(source: str) -> None:
    """Count an answer with candles: `ready` from the cache of answers, else `database`."""
    ANSWERS.labels(source).inc()
