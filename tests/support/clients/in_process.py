"""The API without a network: the client's requests reach the platform's WSGI application in the same thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from asgiref.sync import sync_to_async
from candlekeep_client import AsyncClient, Client
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections

ADDRESS = "http://testserver"
Seen = Callable[[httpx.Request], object]
Changed = Callable[[httpx.Request, httpx.Response], httpx.Response]


class InProcess(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Both kinds of transport; before a request is answered it is shown to `seen`, which may raise.

    `changed` returns what arrives in the place of an answer, or raises.
    """

    def __init__(self, seen: Seen, changed: Changed) -> None:
        self._wsgi, self._seen, self._changed = httpx.WSGITransport(app=get_wsgi_application()), seen, changed

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of the client that waits."""
        self._seen(request)
        # As Django's own test client does it: what a test wrote and did not commit is seen on its connection only.
        for signal in (request_started, request_finished):
            signal.disconnect(close_old_connections)
        try:
            answer = self._wsgi.handle_request(request)
            body = httpx.ByteStream(b"".join(answer.iter_raw()))  # as it was compressed
            return self._changed(request, httpx.Response(answer.status_code, headers=answer.headers, stream=body))
        finally:
            for signal in (request_started, request_finished):
                signal.connect(close_old_connections)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of the other client; under async_to_sync, in the thread that has the database."""
        found: httpx.Response = await sync_to_async(self.handle_request)(request)
        return found


def _nothing(_: Any) -> None:
    pass


def _unchanged(_: httpx.Request, answer: httpx.Response) -> httpx.Response:
    return answer


def client(seen: Seen = _nothing, key: str | None = None, changed: Changed = _unchanged) -> Client:
    """Return a client of the application in this process."""
    return Client(ADDRESS, key, transport=InProcess(seen, changed))


def async_client(seen: Seen = _nothing) -> AsyncClient:
    """Return a client for asyncio of the application in this process."""
    return AsyncClient(ADDRESS, transport=InProcess(seen, _unchanged))
