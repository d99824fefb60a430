"""One connection with the routes of its markets' records to topics."""

from __future__ import annotations

import structlog

from ingestion.live.market_connection import MarketConnection
from ingestion.live.publish_buffer import PublishBuffer
from ingestion.live.subscriptions import Subscriptions
from ingestion.live.topic_router import TopicRouter
from streaming.ends import EndCode
from streaming.topics import TICK_DATA

log = structlog.get_logger(__name__)


class Line:
    """A connection and its routes, which begin when it opens."""

    def __init__(self, connection: MarketConnection, started: float, replace_at: float) -> None:
        """started, replace_at: local seconds when it was begun, and when the next one should be."""
        self.connection, self.started, self.replace_at = connection, started, replace_at
        self.router = TopicRouter()

    @property
    def is_ending(self) -> str | None:
        """Return why the provider is about to end the connection, None if it has not said so."""
        return self.connection.ends_soon if self.connection.is_open else None

    def follow(self, wanted: Subscriptions, buffer: PublishBuffer, now: int) -> None:
        """Join and leave channels and routes on the open connection; it stays, and so do the other spans.

        now: this machine's count, in microseconds.
        """
        self.route(wanted, buffer)  # what was received before goes along the routes of that time
        router, connection = self.router, self.connection
        for market, topic in router.route_keys - wanted.routes:
            reason = "no longer followed" if topic == TICK_DATA.name else "the stream has ended"
            router.end(market, topic, reason, EndCode.LEFT)
        if connection.lost is not None:
            return

        asked_by_streams = {market for market, topic in wanted.routes - router.route_keys if topic != TICK_DATA.name}
        left, joined = connection.change_channels(wanted.channels, retry=asked_by_streams)
        for market in left:  # if it is still wanted, its channel has another name now, and its routes begin again
            for topic in router.topics_of(market):
                router.end(market, topic, "the market's channel changed", EndCode.RESUBSCRIBED)
        for market, topic in wanted.routes:
            if market in joined:
                router.begin(market, topic)

        # What is left are new routes of markets that are subscribed to; the others' turn comes when they are.
        channels = {symbol: channel for channel, symbol in wanted.channels.items()}
        for market, topic in sorted(wanted.routes - router.route_keys):
            start = connection.claim_start(channels[market], now)
            if start is not None:
                router.begin(market, topic, start)

    def route(self, wanted: Subscriptions, buffer: PublishBuffer) -> str | None:
        """Send the connection's records along their routes into the buffer; refused markets' routes end.

        Returns why the last market of the connection was refused, None if one is left.
        """
        router, connection = self.router, self.connection
        if connection.is_open and router.connection != connection.name:
            router = self.router = TopicRouter(connection.name)
            markets = set(connection.channels.asked.values())
            for market, topic in wanted.routes:
                if market in markets:
                    router.begin(market, topic)
            routes = len(router.route_keys)
            log.info("feed connected", feed=connection.feed, markets=len(markets), routes=routes)
        router.send(connection.drain())
        nothing_left = None
        for market, reason in connection.channels.refused:
            topics = router.topics_of(market)
            for topic in topics:
                router.end(market, topic, reason, EndCode.SUBSCRIPTION)
            buffer.put(router.drain())  # before they are given up: a topic has to hear of its end
            for topic in topics:
                if topic != TICK_DATA.name:
                    buffer.give_up_when_sent(topic, reason)
            nothing_left = None if connection.channels.feeds else reason
        connection.channels.refused.clear()
        buffer.put(router.drain())
        return nothing_left
