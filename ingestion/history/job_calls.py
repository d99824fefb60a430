"""The calls to its provider that a job makes for its request: within the quota, and with all kept while it waits."""

from __future__ import annotations

from collections.abc import Callable

from actor_runtime.errors import PlatformFault, RequestFault
from actor_runtime.loop.session import ActorSession
from actor_runtime.reset_policy import backoff
from ingestion.history.fetch_lease import Lease
from ingestion.history.provider_quota import quota_of
from ingestion.history.rate_pause import pause_calls
from ingestion.history.rest_client import Found, RestClient, call_in_thread
from ingestion.provider_access import REST, access_of
from ingestion.providers.answers import RateLimited, Unavailable, why
from ingestion.providers.port import Provider

RENEW_INTERVAL_S, MAX_RENEWALS = 3.0, 8  # of the request, while an answer is awaited
MAX_JOB_WAIT_S = 8.0  # that a job waits for anything; for longer its request goes back to the queue
MAX_QUEUED_WAIT_S = 60.0  # a provider that is back should not be kept waiting


class RequestReturned(RequestFault):
    """The request waits in the queue; the producer is free for another one."""


class JobCalls:
    """The way of one job to its provider; `session` is the job's, once it owns a row of the pool."""

    session: ActorSession

    def __init__(self, provider: Provider) -> None:
        """Prepare the connection; it is made by the first call."""
        self.access = access_of(provider, REST)
        self.quota = quota_of(provider.traits)
        self.client = RestClient(provider, self.access)

    def take(self, lease: Lease, weight: int) -> bool:
        """Take a call of the quota; False if there is none, after a short wait or with the request given back."""
        wait = self.quota.take(weight)
        if wait > MAX_JOB_WAIT_S:
            said = self.quota.pause_reason()
            lease.give_back(wait, "the rate budget is used up" + (f"; the provider says: {said}" if said else ""))
        elif wait:
            self.session.waiting("the rate budget")
            self.session.stop.wait(min(wait, 1.0))
        else:
            self.session.waiting(None)
        return not wait

    def ask(self, lease: Lease, call: Callable[[], Found]) -> Found | Unavailable:
        """Return the provider's answer; the row and the request are kept while it is awaited."""
        running = call_in_thread(call)
        for _ in range(MAX_RENEWALS):
            try:
                return running.result(timeout=RENEW_INTERVAL_S)
            except TimeoutError:
                if self.session.stop.is_set():
                    raise self.returned(lease, 0, "the job was stopped") from None
                self.session.beat()
                lease.renew()
        return Unavailable(f"no whole answer within {MAX_RENEWALS * RENEW_INTERVAL_S:.0f} s")

    def limited(self, lease: Lease, outcome: RateLimited) -> Exception:
        """Pause the calls of all jobs for as long as the provider says; return the fault."""
        wait = pause_calls(self.quota, outcome, lambda: self.ask(lease, self.client.calls_left))
        return self.platform_fault(lease, why(outcome), wait)

    def platform_fault(self, lease: Lease, reason: str, wait: float = 0.0) -> Exception:
        """Return what keeps the producer in Error for a moment, or gives the request back if that would be too long."""
        wait = max(wait, min(backoff(self.session.actor.error_count + 1), MAX_QUEUED_WAIT_S))
        if wait > MAX_JOB_WAIT_S:
            return self.returned(lease, wait, reason)
        lease.complain(reason)
        return PlatformFault(reason)

    def returned(self, lease: Lease, wait: float, reason: str) -> RequestReturned:
        """Give the request back to the queue; return what says so."""
        lease.give_back(wait, reason)
        return RequestReturned(f"{reason}; asked again in {wait:.0f} s")
