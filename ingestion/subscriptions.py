"""Which channels of the provider the live Producer is to be subscribed to."""

from __future__ import annotations

from dataclasses import dataclass

from datastore.models import Market
from ingestion.providers.cryptocompare import subscription


@dataclass(frozen=True, slots=True)
class Change:
    """What became of the followed markets: channels to leave, channels to join with their markets' symbols."""

    leave: list[str]
    join: dict[str, str]


def followed_subscriptions() -> dict[str, str]:
    """Return the channel of every followed market, with its symbol."""
    return {
        subscription(market.provider_exchange, market.provider_base, market.provider_quote): market.symbol
        for market in Market.objects.filter(followed=True)
    }


def change_of(held: dict[str, str]) -> Change:
    """Return what is to be changed of the channels that are held."""
    wanted = followed_subscriptions()
    # A name that only its capitals tell from one that is held is the same channel, unless that one was refused: then
    # it is worth another try.
    still = {sub.lower() for sub in wanted}
    return Change(
        [sub for sub in held if sub.lower() not in still],
        {sub: symbol for sub, symbol in wanted.items() if sub not in held},
    )
