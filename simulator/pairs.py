"""Markets by their two names: coinbase:BTC-USD here, 0~Coinbase~BTC~USD on the streamer."""

from __future__ import annotations

import re
from dataclasses import dataclass

MARKET_PATTERN = re.compile(r"([a-z0-9]{2,30}):([^\s~:,/-]{1,30})-([^\s~:,/-]{1,30})")


@dataclass(frozen=True, slots=True)
class Venue:
    """What the provider knows about an exchange's trades."""

    name: str
    step: int = 1_000_000  # of exchange time, in nanoseconds; a whole second means no TSNS
    has_ccseq: bool = True
    has_ids: bool = True  # if not, the provider builds ids from the second and a number up to 999


VENUES = {
    "binance": Venue("Binance"),
    "binanceus": Venue("BinanceUS"),
    "bitfinex": Venue("Bitfinex", step=1_000_000_000, has_ids=False),
    "bitstamp": Venue("Bitstamp", step=1_000_000_000),
    "coinbase": Venue("Coinbase"),
    "gemini": Venue("Gemini"),
    "kraken": Venue("Kraken", step=1_000, has_ccseq=False),
    "okx": Venue("OKX"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """One market of one exchange."""

    exchange: str
    base: str
    quote: str

    @classmethod
    def parse(cls, text: str) -> Pair:
        """Return the pair of `exchange:BASE-QUOTE`; raise ValueError."""
        match = MARKET_PATTERN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not like coinbase:BTC-USD")
        return cls(*match.groups())

    @property
    def venue(self) -> Venue:
        """Return what is known of its exchange; an unknown one is like most."""
        return VENUES.get(self.exchange) or Venue(self.exchange.capitalize())

    @property
    def sub(self) -> str:
        """Return the name of its trade subscription."""
        return f"0~{self.venue.name}~{self.base}~{self.quote}"

    def __str__(self) -> str:
        return f"{self.exchange}:{self.base}-{self.quote}"
