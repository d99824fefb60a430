"""The history Producer: one request's pages from the provider's REST API to candle-data, acknowledged.

A job owns a row of the pool from its first to its last page, and its request by a lease. The page that is not yet
acknowledged stays in memory and goes first; after a kill the next job continues below what was acknowledged.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Event

import structlog

from actor_runtime.configured_broker import configured_broker
from actor_runtime.errors import LastingFault, RequestFault
from actor_runtime.loop.runner import run
from actor_runtime.loop.session import ActorSession
from actor_runtime.models import Actor
from actor_runtime.reset_policy import reset_delay
from actor_runtime.steady_time import SteadyNow
from datastore.backfill import fetch_queue
from datastore.models import FetchRequest
from datastore.reference.provider import other_provider
from datastore.reference.provider_clock import known_times, provider_now
from datastore.timeframes.intervals import SECOND_US, micros_of
from ingestion.history import pages
from ingestion.history.fetch_lease import CandleLease, FillLease, Lease, lease_of
from ingestion.history.fill_pages import FillPages
from ingestion.history.job_calls import JobCalls
from ingestion.history.page_batch import Batch, history_batch, message_of
from ingestion.history.pages import PageOrigin, PageRequest
from ingestion.history.pool import ROLE, blocking_error, ensure_pool
from ingestion.history.rate_pause import pause_calls
from ingestion.history.topic_room import TopicRoom
from ingestion.models import Producer, Target
from ingestion.provider_access import note_refused
from ingestion.providers.answers import (
    Blocked,
    CandlePage,
    RateLimited,
    Refused,
    TradePage,
    Trouble,
    Unauthorized,
    why,
)
from ingestion.providers.port import Provider
from ingestion.providers.table import PROVIDERS
from streaming.broker import Message, Publisher
from streaming.errors import PublishFailed, StreamLost, StreamUnavailable
from streaming.history_records import FetchDone, FetchFailed, HistoryRecord
from streaming.records import encode

log = structlog.get_logger(__name__)

GIVEN_WAY_S = 2.0  # for which a backfill leaves its calls to others; what it published is stored by then
KEY_REFUSED_WAIT_S = 10.0  # between two checks whether a person has reset the pool; they cost the provider no call


def fetch(request_id: int, stop: Event) -> None:
    """Fetch a request's pages until it is published, has failed or waits in the queue again, or stop is set."""
    ensure_pool()
    found = FetchRequest.objects.filter(pk=request_id).values_list("market__provider", "market__symbol").first()
    if found is None:
        return
    name, market = found
    provider = PROVIDERS[name]
    if reason := blocking_error(provider):
        queued = FetchRequest.objects.filter(pk=request_id, state=FetchRequest.State.QUEUED)
        queued.update(next_try=SteadyNow() + timedelta(seconds=KEY_REFUSED_WAIT_S), error=reason)
        return
    job = HistoryProducer(request_id, provider)
    with structlog.contextvars.bound_contextvars(request=request_id, market=market):
        run(job, stop)
        job.release()


class HistoryProducer:
    """Own one request: fetch a page, publish it, note it, and so on down to the request's start."""

    model: type[Actor] = Producer
    role = ROLE
    several = False  # the pool's rows are all there are: see ensure_pool
    pause = 0.0  # a turn waits itself

    def __init__(self, request_id: int, provider: Provider) -> None:
        """Prepare the fetch of a FetchRequest from its market's provider; it begins once a row of the pool is owned."""
        self._id = request_id
        self._session: ActorSession
        self._lease: Lease | None = None
        self._fill: FillPages | None = None
        self._publisher: Publisher | None = None
        self._room: TopicRoom | None = None
        self._batch: Batch | None = None
        self._calls = JobCalls(provider)

    def open(self, session: ActorSession) -> None:
        """Begin the request, and make the topic and a new connection to the broker."""
        self._session = self._calls.session = session
        if self._lease is None:
            request = fetch_queue.start(self._id, session.claim)
            self._lease = lease_of(request, session.claim) if request else None
        if self._lease is None or self._lease.over:
            return
        self._disconnect()
        broker = configured_broker()
        self._room = TopicRoom(self._lease.topic, broker.admin(), self._calls)
        self._publisher = broker.publisher()

    def turn(self) -> bool:
        """Fetch and publish one page; False once there is nothing more to do."""
        try:
            if (lease := self._lease) and not lease.over:
                lease.renew()
                if self._batch is None and self._room and self._room.has_room(lease):
                    self._batch = (
                        self._next_trades(lease) if isinstance(lease, FillLease) else self._next_candles(lease)
                    )
                if self._batch is not None:
                    self._publish(lease, self._batch)
        except Exception as exc:
            if reset_delay(exc, 1) is None:
                self._session.stop.set()  # only a person ends this Error: a job does not wait for that
            raise
        if self._lease is None or self._lease.over:
            self._session.stop.set()
        return not self._session.stop.is_set()

    def beat(self) -> None:
        """Keep the request."""
        if self._lease and not self._lease.over:
            self._lease.renew()

    def close(self) -> None:
        """Close the connections and end the job, also if another process took the row over."""
        self._session.stop.set()
        self._calls.client.close()
        self._disconnect()

    def release(self) -> None:
        """Queue a request that is still ours: the next job continues it at once."""
        if self._lease:
            with structlog.contextvars.bound_contextvars(actor=self._session.name):
                self._lease.give_back(0, "the job was stopped")

    def _disconnect(self) -> None:
        for connection in (self._publisher, self._room):
            if connection is not None:
                connection.close()
        self._publisher = self._room = None

    # --- one page ---

    def _next_candles(self, lease: CandleLease) -> Batch | None:
        """Return the next page's records; None while the quota has no call for us."""
        asked = lease.next_page()
        if asked is None:
            origin = PageOrigin(lease.market, lease.id, lease.pages_done, lease.pages_done)
            done: list[HistoryRecord] = [FetchDone(market=lease.market, request=lease.id)]
            return history_batch(done, lambda: lease.advance(origin, lease.start), last=True)
        oldest = lease.oldest_bucket()
        if asked.stop <= oldest:
            raise self._fail(lease, f"{lease.provider.name} has no older candles of this length", final=True)
        asked = replace(asked, start=max(asked.start, oldest))
        if not self._calls.take(lease, self._calls.client.candles_weight(asked.of(lease.sub))):
            return None
        self._begin_fetching()
        self._session.save()
        ask = partial(self._calls.client.candles, asked.of(lease.sub))
        outcome: CandlePage | Trouble = self._calls.ask(lease, ask)
        if not isinstance(outcome, CandlePage):
            raise self._fault_of(lease, outcome)
        if known := other_provider(lease.provider.name, outcome.provider):
            lease.give_back(KEY_REFUSED_WAIT_S, "another provider answers")
            note_refused(self._session, self._calls.access)
            raise LastingFault(f"this database holds data of {known!r}, but {outcome.provider!r} answers")
        if outcome.warning:
            self._calls.quota.pause(outcome.warning.slow_down, outcome.warning.reason)

        if (now := known_times().get(lease.provider.name)) is not None:
            # The answer's own time is one server's: where it is ahead, rows are not final yet.
            outcome = replace(outcome, at=min(outcome.at, micros_of(now)))
        asked = self._final_part(lease, outcome, asked)
        if not pages.answers(outcome, asked):
            raise self._calls.platform_fault(lease, "none of the rows lies in the span that was asked for")
        origin = lease.origin(asked)
        records = pages.records_of(lease.candles, outcome, asked, origin)
        if last := asked.start <= lease.start:
            records.append(FetchDone(market=lease.market, request=lease.id))
        return history_batch(records, lambda: lease.advance(origin, asked.start), last)

    def _next_trades(self, lease: FillLease) -> Batch | None:
        """Return the next page's trades; None while the quota has no call for us, or if none is missing any more."""
        bounds, trades = lease.bounds, lease.provider.traits.trades
        if bounds is None or trades is None:
            lease.publish()  # another producer has brought them
            return None
        if self._fill is None:
            self._fill = FillPages(lease.provider.history, trades, lease.market, lease.asked(bounds), bounds)
        fill = self._fill
        if lease.gives_way():
            lease.give_back(GIVEN_WAY_S, "more urgent requests go first")
            return None
        if not self._calls.take(lease, fill.request().weight):
            return None
        self._begin_fetching()
        self._session.save()
        outcome: TradePage | Trouble = self._calls.ask(lease, partial(self._calls.client.trades, fill))
        if not isinstance(outcome, TradePage):
            raise self._fault_of(lease, outcome)
        if outcome.garbage:
            raise self._calls.platform_fault(lease, f"trades that cannot be read: {outcome.garbage[0].reason}")
        now = provider_now(lease.provider.name)
        records = fill.records_of(outcome, micros_of(now), lease.kept_since(now))
        messages = [Message(record.market, encode(record)) for record in records]
        left, begins = fill.pages_left, fill.begins
        return Batch(messages, lambda: lease.advance(left, begins), fill.is_last)

    def _begin_fetching(self) -> None:
        if self._session.actor.state == Producer.State.IDLE:
            self._session.actor.fetch_data()

    def _final_part(self, lease: CandleLease, page: CandlePage, asked: PageRequest) -> PageRequest:
        """Return the part of the page that is final, and shorten the request to it; raise if there is none."""
        final = pages.final_stop(lease.candles, page.at, asked.resolution)
        if asked.stop <= final:
            return asked
        if final <= asked.start:
            age = lease.candles.resolutions[asked.resolution].cache_age.total_seconds()
            wait = (asked.stop - page.at) / SECOND_US + age
            raise self._calls.returned(lease, wait, "the provider's answer is not final yet")
        lease.shorten(final)
        return replace(asked, stop=final)

    # --- what goes wrong ---

    def _fault_of(self, lease: Lease, outcome: Trouble) -> Exception:
        if isinstance(outcome, Unauthorized | Blocked):
            lease.give_back(KEY_REFUSED_WAIT_S, why(outcome))
            note_refused(self._session, self._calls.access)
            return LastingFault(why(outcome))
        if isinstance(outcome, RateLimited):
            wait = pause_calls(
                self._calls.quota, outcome, lambda: self._calls.ask(lease, self._calls.client.calls_left)
            )
            return self._calls.platform_fault(lease, why(outcome), wait)
        if isinstance(outcome, Refused):
            return self._fail(lease, why(outcome), isinstance(lease, CandleLease) and outcome.is_final(lease.reached))
        return self._calls.platform_fault(lease, why(outcome))

    def _fail(self, lease: Lease, reason: str, final: bool) -> Exception:
        """Publish that the rest will not come; the consumer that stores it ends the request. A fill just ends."""
        if isinstance(lease, FillLease):
            lease.fail(reason)
            return RequestFault(reason)
        failed = FetchFailed(
            market=lease.market,
            request=lease.id,
            resolution=lease.resolution,
            start=lease.start,
            stop=lease.reached,
            reason=reason,
            final=final,
        )
        try:
            self._send(lease, [message_of(failed)])
        except (StreamUnavailable, StreamLost) as exc:
            return self._calls.platform_fault(lease, str(exc))
        lease.publish()
        return RequestFault(reason)

    # --- the topic ---

    def _publish(self, lease: Lease, batch: Batch) -> None:
        self._begin_fetching()
        self._session.actor.data_ready(Target.FIXED)
        self._session.save()
        try:
            self._send(lease, batch.messages)
        except PublishFailed as exc:
            batch.messages = [batch.messages[index] for index in exc.failed]
            raise self._calls.platform_fault(lease, str(exc)) from exc
        except (StreamUnavailable, StreamLost) as exc:
            raise self._calls.platform_fault(lease, str(exc)) from exc
        self._session.actor.publish_success()
        self._session.save()
        self._batch = None

        batch.advance()
        if batch.last and self._fill is not None and self._fill.is_cut_off:
            raise self._fail(lease, f"{lease.provider.name} no longer has the trades before these", final=True)
        if batch.last:
            lease.publish()
        log.info("page published", topic=lease.topic.name, page=lease.pages_done, records=len(batch.messages))

    def _send(self, lease: Lease, messages: list[Message]) -> None:
        if self._publisher is not None and messages:
            self._publisher.publish(lease.topic.name, messages)
