"""Calls of the provider's REST API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

import structlog
import urllib3
from urllib3.exceptions import HTTPError

from ingestion.providers.cryptocompare.rest import (
    PAIRS_PATH,
    RATE_PATH,
    Outcome,
    Page,
    PairList,
    ProviderNames,
    RateTold,
    Trouble,
    Unavailable,
    candles_path,
    read_answer,
    read_pairs,
    read_rate,
)
from metering.table import PROVIDER_CALLS, PROVIDER_SECONDS, PROVIDER_WARNINGS

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 20.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024  # a full page of candles has a twentieth of that
MAX_PAIR_LIST_BYTES = 64 * 1024 * 1024  # a hundred thousand pairs have a tenth of that

Answer = TypeVar("Answer")
Reader = Callable[[int, Mapping[str, str], bytes], Answer]


class RestClient:
    """One connection to the provider; the key travels in a header, so that no URL and no error text can show it."""

    def __init__(self, url: str, key: str) -> None:
        """Prepare calls of this address; nothing is connected yet."""
        headers = urllib3.make_headers(accept_encoding="gzip", user_agent="candlekeep")
        if key:
            headers["Authorization"] = f"Apikey {key}"
        self._url = url.rstrip("/")
        self._pool = urllib3.PoolManager(
            num_pools=1,
            headers=headers,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
            retries=False,  # every call counts against the quota: the caller decides whether to try again
        )

    def candles(self, names: ProviderNames, resolution: int, last: int, before: int) -> Outcome:
        """Return the candle that starts at `last` and the `before` ones before it (seconds); never raises."""
        return self._timed(candles_path(names, resolution, last, before), read_answer, MAX_ANSWER_BYTES)

    def pairs(self) -> PairList | Trouble:
        """Return the provider's list of pairs; never raises."""
        return self._timed(PAIRS_PATH, read_pairs, MAX_PAIR_LIST_BYTES)

    def rate(self) -> RateTold | Trouble:
        """Return how many calls the provider still allows the key; never raises."""
        return self._timed(RATE_PATH, read_rate, MAX_ANSWER_BYTES)

    def _timed(self, path: str, read: Reader[Answer], max_bytes: int) -> Answer | Unavailable:
        with PROVIDER_SECONDS.time():
            outcome = self._get(path, read, max_bytes)
        PROVIDER_CALLS.labels(type(outcome).__name__.lower()).inc()
        if isinstance(outcome, Page | PairList) and outcome.warning:
            PROVIDER_WARNINGS.inc()
            log.warning("the provider warns", reason=outcome.warning.reason)
        return outcome

    def _get(self, path: str, read: Reader[Answer], max_bytes: int) -> Answer | Unavailable:
        try:
            response = self._pool.request("GET", self._url + path, preload_content=False, redirect=False)
            body = response.read(max_bytes + 1)
            if len(body) > max_bytes:
                response.close()
                return Unavailable(f"the answer has more than {max_bytes:,} bytes")
            response.release_conn()
        except (HTTPError, OSError) as exc:
            return Unavailable(f"the provider does not answer: {type(exc).__name__}")
        return read(response.status, response.headers, body)

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()


def call_in_thread(call: Callable[[], Answer]) -> Future[Answer]:
    """Make a call that may take longer than a heartbeat may stay away; a process that ends does not wait for it."""
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as exc:  # whatever it is, the caller gets it
            answer.set_exception(exc)

    Thread(target=run, name="provider-call", daemon=True).start()
    return answer
