"""What every provider is to the rest of Candlekeep: traits, a stream, a history, a catalogue and its names.

All of it is pure: messages and requests go out as bytes and paths, frames and answers come in as bytes, and what they
say comes back typed: events.py and answers.py. Nothing here connects, waits, publishes or stores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from datastore.reference.pairs import Listed
from datastore.reference.traits import Traits
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
from ingestion.providers.events import Event


class Stream(Protocol):
    """One connection's messages and frames; it remembers what it asked for, so each connection needs its own."""

    def subscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return the frames that ask for these channels, to be sent in order."""

    def unsubscribe(self, subs: Sequence[str]) -> list[bytes]:
        """Return the frames that end these channels."""

    def keep_alive(self) -> bytes | None:
        """Return the frame to send every traits.stream.keep_alive; None if there is none."""

    def read_frame(self, raw: bytes) -> tuple[Event, ...]:
        """Return what a frame says, in order; empty if nothing we need. Never raises, and loses no trade silently."""


class History(Protocol):
    """The provider's past: what to ask, and what each answer says. Reading never raises."""

    def candles_request(self, asked: CandlesAsked) -> Request:
        """Return the call that brings these candles."""

    def read_candles(self, asked: CandlesAsked, answer: Answer) -> CandlePage | Trouble:
        """Return the candles, rows outside of what was asked for perhaps among them."""

    def trades_request(self, asked: TradesAsked, cursor: str | None = None) -> Request:
        """Return the call that brings the first page of these trades, or the page at the cursor of the one before."""

    def read_trades(self, asked: TradesAsked, cursor: str | None, answer: Answer) -> TradePage | Trouble:
        """Return what the call with this cursor brought."""


class Catalogue(Protocol):
    """What the provider lists, and its clock. Reading never raises."""

    def pairs_request(self) -> Request:
        """Return the call that brings all pairs."""

    def read_pairs(self, answer: Answer) -> PairList | Trouble:
        """Return all pairs."""

    def time_request(self) -> Request | None:
        """Return the call that brings the provider's time; None if there is none."""

    def read_time(self, answer: Answer) -> ProviderTime | Trouble:
        """Return the provider's time."""


class Allowance(Protocol):
    """The provider's own count of our calls. Reading never raises."""

    def left_request(self) -> Request:
        """Return the call that brings how many calls are left."""

    def read_left(self, answer: Answer) -> CallsLeft | Trouble:
        """Return how many calls are left."""


class Names(Protocol):
    """Markets as the provider spells them, and back."""

    def sub_of(self, pair: Listed) -> str:
        """Return the channel of a pair."""

    def pair_of(self, sub: str) -> Listed | None:
        """Return the pair of a channel; None if the name alone does not tell."""


def same_channel(sub: str) -> str:
    """Return a channel itself: its spelling is the only one."""
    return sub


def no_headers(key: str) -> Mapping[str, str]:
    """Return no header: the provider asks for no key."""
    return {}


@dataclass(frozen=True, slots=True)
class Provider:
    """All of one provider; `stream` makes what one connection needs.

    channel_key: returns what a channel is found by, the same for all its spellings. key_setting: the setting that holds
    our key, "" if it needs none. headers: returns those that carry a key. allowance: None if it does not count for us.
    """

    traits: Traits
    names: Names
    stream: Callable[[], Stream]
    history: History
    catalogue: Catalogue
    channel_key: Callable[[str], str] = same_channel
    key_setting: str = ""
    headers: Callable[[str], Mapping[str, str]] = no_headers
    allowance: Allowance | None = None

    @property
    def name(self) -> str:
        """Return its name."""
        return self.traits.name
