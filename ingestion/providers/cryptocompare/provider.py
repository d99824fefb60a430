"""CryptoCompare behind the port."""

from __future__ import annotations

from collections.abc import Mapping

from datastore.reference.pairs import Listed
from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.answers import (
    Answer,
    CallsLeft,
    CandlePage,
    CandlesAsked,
    PairList,
    ProviderTime,
    Request,
    TradePage,
    TradesAsked,
    Trouble,
)
from ingestion.providers.cryptocompare.rest import (
    PAIRS_PATH,
    RATE_PATH,
    candles_path,
    read_answer,
    read_pairs,
    read_rate,
)
from ingestion.providers.cryptocompare.stream import Streamer, channel_key, subscription
from ingestion.providers.cryptocompare.traits import TRAITS
from ingestion.providers.port import Provider

NO_TRADES = "CryptoCompare has no history of trades"


class Channels:
    """Markets as trade channels, 0~Coinbase~BTC~USD."""

    def sub_of(self, pair: Listed) -> str:
        """Return the channel of a pair, which is spelled as its list has it."""
        return subscription(pair.exchange, pair.base, pair.quote)

    def pair_of(self, sub: str) -> Listed | None:
        """Return the pair of a channel; None if it is no trade channel."""
        kind, *names = sub.split("~")
        return Listed(*names) if kind == "0" and len(names) == 3 and all(names) else None


def last_and_before(asked: CandlesAsked) -> tuple[int, int]:
    """Return the start of the newest bucket in seconds, and `limit`: it brings one row more, the bucket before all."""
    length = asked.resolution * SECOND_US
    return (asked.stop - length) // SECOND_US, (asked.stop - asked.start) // length


class Candles:
    """Pages of candles; there is no history of trades."""

    def candles_request(self, asked: CandlesAsked) -> Request:
        """Return the call that brings these candles."""
        _, *names = asked.sub.split("~")
        return Request(candles_path(Listed(*names), asked.resolution, *last_and_before(asked)))

    def read_candles(self, asked: CandlesAsked, answer: Answer) -> CandlePage | Trouble:
        """Return the candles of an answer."""
        return read_answer(answer.status, answer.headers, answer.body)

    def trades_request(self, asked: TradesAsked, cursor: str | None = None) -> Request:
        """Raise LookupError."""
        raise LookupError(NO_TRADES)

    def read_trades(self, asked: TradesAsked, cursor: str | None, answer: Answer) -> TradePage | Trouble:
        """Raise LookupError."""
        raise LookupError(NO_TRADES)


class Pairs:
    """The list of all exchanges' pairs; the time comes with every answer and has no call of its own."""

    def pairs_request(self) -> Request:
        """Return the call that brings all pairs."""
        return Request(PAIRS_PATH)

    def read_pairs(self, answer: Answer) -> PairList | Trouble:
        """Return the pairs of the exchanges that are called active."""
        return read_pairs(answer.status, answer.headers, answer.body)

    def time_request(self) -> Request | None:
        """Return None."""
        return None

    def read_time(self, answer: Answer) -> ProviderTime | Trouble:
        """Raise LookupError."""
        raise LookupError("CryptoCompare has no call for its time")


class Rate:
    """The count of this key's calls, which its plan limits."""

    def left_request(self) -> Request:
        """Return the call that brings the calls left."""
        return Request(RATE_PATH)

    def read_left(self, answer: Answer) -> CallsLeft | Trouble:
        """Return the calls left, by window from a second to a month."""
        return read_rate(answer.status, answer.headers, answer.body)


def headers(key: str) -> Mapping[str, str]:
    """Return the header that carries the key: in it, no URL and no error text can show it."""
    return {"Authorization": f"Apikey {key}"} if key else {}


PROVIDER = Provider(
    traits=TRAITS,
    names=Channels(),
    stream=Streamer,
    history=Candles(),
    catalogue=Pairs(),
    channel_key=channel_key,
    key_setting="CRYPTOCOMPARE_API_KEY",
    headers=headers,
    allowance=Rate(),
)
