"""What a provider sent of trades, as the records that carry it to the topics."""

from __future__ import annotations

from ingestion.providers.events import LastId, TradeSeen
from streaming.records import LastTrade, Micros, Trade


def trade_record(
    seen: TradeSeen, market: str, feed: str, n: int, received_at: Micros, name: str | None = None
) -> Trade:
    """Return the record of a trade; name: its id where that is not the one it came with."""
    return Trade(
        market=market,
        feed=feed,
        n=n,
        ts=seen.ts,
        seq=seen.seq,
        id=seen.id if name is None else name,
        price=seen.price,
        amount=seen.amount,
        side=seen.side,
        received_at=received_at,
        numbered=seen.number is not None and seen.number == seen.seq,
        first=seen.first,
        last=seen.last,
    )


def last_trade_record(said: LastId, market: str, feed: str, n: int) -> LastTrade:
    """Return the record of what the provider says of a market's newest trade."""
    return LastTrade(market=market, feed=feed, n=n, last_id=said.id, at=said.at)
