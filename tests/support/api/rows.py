"""Real rows for the API's tests: records through the platform's own write, ten minutes back from now."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client

from datastore.reference.provider import remember_provider
from datastore.reference.provider_clock import save_clock
from datastore.timeframes.intervals import micros_of
from streaming.records import LiveRecord
from tests.support.datastore import records

SYMBOL = "coinbase:BTC-USD"
# Relative to now, for retention and the provider's time look at the real clock; fixed for the whole run.
NOW = datetime.now(UTC)
BEGAN = NOW.replace(second=0, microsecond=0) - timedelta(minutes=10)
MINUTE = timedelta(minutes=1)


def at(seconds: float) -> int:
    """Return microseconds since 1970, seconds after BEGAN."""
    return micros_of(BEGAN + timedelta(seconds=seconds))


class Feed:
    """A feed of one market; it numbers its records as a producer does. Times in seconds after BEGAN."""

    def __init__(self, market: str = SYMBOL, feed: str = records.FEED) -> None:
        self.where: dict[str, Any] = {"market": market, "feed": feed}
        self.n = 0

    def _next(self) -> int:
        self.n += 1
        return self.n

    def opened(self, seconds: float = 0) -> LiveRecord:
        return records.opened(self._next(), at(seconds), **self.where)

    def watermark(self, until: float, start: float = 0) -> LiveRecord:
        return records.watermark(self._next(), at(until), at(start), **self.where)

    def closed(self, stop: float, reason: str = "socket lost") -> LiveRecord:
        return records.closed(self._next(), at(stop), reason, at(0), **self.where)

    def trade(self, seconds: float, price: str, amount: str = "1", **more: Any) -> LiveRecord:
        return records.trade(self._next(), at(seconds), price, amount, **self.where, **more)


def provider_runs() -> None:
    """Name the provider and let its clock be the database's."""
    remember_provider("cryptocompare", "simulator/test", True)
    save_clock("cryptocompare", timedelta(0))


def body_of(client: Client, address: str, status: int = 200, /, **headers: str) -> Any:
    """Return the JSON at an address after checking status and content type."""
    response = client.get(address, headers=headers)
    assert response.status_code == status, response.content
    problem = status >= 400
    assert response["Content-Type"] == ("application/problem+json" if problem else "application/json")
    return json.loads(response.content)
