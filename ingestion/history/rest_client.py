"""Calls of the provider's REST API."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Protocol, TypeVar

import structlog
import urllib3
from redis.exceptions import RedisError
from urllib3.exceptions import HTTPError

from ingestion.history.provider_quota import quota_of
from ingestion.provider_access import Access
from ingestion.providers.answers import (
    Answer,
    CallsLeft,
    CandlePage,
    CandlesAsked,
    PairList,
    Request,
    TradePage,
    Trouble,
    Unavailable,
)
from ingestion.providers.port import Provider
from metering.table import PROVIDER_CALLS, PROVIDER_SECONDS, PROVIDER_WARNINGS

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 20.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024  # a full page of candles has a twentieth of that
MAX_PAIR_LIST_BYTES = 64 * 1024 * 1024  # a hundred thousand pairs have a tenth of that
MAX_WEIGHT_DIGITS = 10  # of a header that says it

# Under which name outcomes are counted, where it is not the type's.
COUNTED_AS: dict[type, str] = {CandlePage: "page", TradePage: "trades", CallsLeft: "ratetold"}

Found = TypeVar("Found")


class TradesCall(Protocol):
    """A call for a page of trades, and what its answer says."""

    def request(self) -> Request:
        """Return the call."""

    def read(self, answer: Answer) -> TradePage | Trouble:
        """Return what it brought."""


class RestClient:
    """One connection to a provider; what is asked and what an answer says is the provider's business."""

    def __init__(self, provider: Provider, access: Access) -> None:
        """Prepare calls of this address; nothing is connected yet."""
        headers = urllib3.make_headers(accept_encoding="gzip", user_agent="candlekeep")
        headers.update(access.headers)
        self._provider = provider
        self._url = access.url.rstrip("/")
        self._pool = urllib3.PoolManager(
            num_pools=1,
            headers=headers,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
            retries=False,  # every call counts against the quota: the caller decides whether to try again
        )

    def candles_weight(self, asked: CandlesAsked) -> int:
        """Return what the call for a page of candles counts against the quota."""
        return self._provider.history.candles_request(asked).weight

    @property
    def pairs_weight(self) -> int:
        """Return what the call for the list of pairs counts against the quota."""
        return self._provider.catalogue.pairs_request().weight

    def candles(self, asked: CandlesAsked) -> CandlePage | Trouble:
        """Return a page of candles; never raises."""
        history = self._provider.history
        return self._timed(
            history.candles_request(asked), lambda answer: history.read_candles(asked, answer), MAX_ANSWER_BYTES
        )

    def trades(self, asked: TradesCall) -> TradePage | Trouble:
        """Return a page of trades; never raises."""
        return self._timed(asked.request(), asked.read, MAX_ANSWER_BYTES)

    def pairs(self) -> PairList | Trouble:
        """Return the provider's list of pairs; never raises."""
        catalogue = self._provider.catalogue
        return self._timed(catalogue.pairs_request(), catalogue.read_pairs, MAX_PAIR_LIST_BYTES)

    def calls_left(self) -> CallsLeft | Trouble:
        """Return how many calls the provider still allows us by its own count; never raises."""
        allowance = self._provider.allowance
        if allowance is None:
            return Unavailable("the provider does not say")
        return self._timed(allowance.left_request(), allowance.read_left, MAX_ANSWER_BYTES)

    def _timed(self, request: Request, read: Callable[[Answer], Found], max_bytes: int) -> Found | Unavailable:
        with PROVIDER_SECONDS.time():
            answer = self._get(request.path, max_bytes)
            outcome = answer if isinstance(answer, Unavailable) else read(answer)
        PROVIDER_CALLS.labels(COUNTED_AS.get(type(outcome), type(outcome).__name__.lower())).inc()
        if isinstance(outcome, CandlePage | PairList) and outcome.warning:
            PROVIDER_WARNINGS.inc()
            log.warning("the provider warns", reason=outcome.warning.reason)
        return outcome

    def _get(self, path: str, max_bytes: int) -> Answer | Unavailable:
        try:
            response = self._pool.request("GET", self._url + path, preload_content=False, redirect=False)
            body = response.read(max_bytes + 1)
            if len(body) > max_bytes:
                response.close()
                return Unavailable(f"the answer has more than {max_bytes:,} bytes")
            response.release_conn()
        except (HTTPError, OSError) as exc:
            return Unavailable(f"the provider does not answer: {type(exc).__name__}")

        # Count what the provider says that this address has used, where that is more than we know of.
        used = response.headers.get(self._provider.traits.limits.used_weight_header or "", "")
        if used.isascii() and used.isdecimal() and len(used) < MAX_WEIGHT_DIGITS:
            with suppress(RedisError):  # the next answer says it again
                if others := quota_of(self._provider.traits).believe(int(used)):
                    log.info("weight used by others", provider=self._provider.name, weight=others)

        return Answer(response.status, response.headers, body)

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()


def call_in_thread(call: Callable[[], Found]) -> Future[Found]:
    """Make a call that may take longer than a heartbeat may stay away; a process that ends does not wait for it."""
    answer: Future[Found] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as exc:  # whatever it is, the caller gets it
            answer.set_exception(exc)

    Thread(target=run, name="provider-call", daemon=True).start()
    return answer
