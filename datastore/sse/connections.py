"""Connections that can be cut at once, by the address of their reader. They belong to the event loop."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

socket_log = logging.getLogger(f"{__name__}.websocket")
socket_log.setLevel(logging.WARNING)


class AbortableConnection(H11Protocol):
    """A connection that can be cut: closing it would wait for a reader that takes nothing."""

    open: dict[Any, AbortableConnection | AbortableSocket] = {}  # by the reader's address

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the connection."""
        super().connection_made(transport)
        self.open[self.client] = self

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.open.pop(self.client, None)
        super().connection_lost(exc)

    @classmethod
    def cut(cls, client: Any) -> None:
        """End a connection at once and discard what waits to be sent."""
        connection = cls.open.get(client)
        if connection is not None:
            connection.transport.abort()


class AbortableSocket(WebSocketsSansIOProtocol):
    """A WebSocket that can be cut, in the place of the connection that it began as."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # uvicorn's own would write each address with its query, and so with a key.
        self.logger = self.conn.logger = socket_log

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection."""
        super().connection_made(transport)
        AbortableConnection.open[self.client] = self

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        AbortableConnection.open.pop(self.client, None)
        super().connection_lost(exc)
