"""Kraken's spellings: BTC/USD on its socket, XBTUSD in its REST API, XBT/USD in its list, XXBTZUSD in its answers.

Only here are XBT and XDG known: everywhere else they are BTC and DOGE.
"""

from __future__ import annotations

from datastore.reference.pairs import Listed

VENUE = "kraken"
OURS = {"XBT": "BTC", "XDG": "DOGE"}
THEIRS = {ours: theirs for theirs, ours in OURS.items()}


class KrakenNames:
    """A channel is base/quote, in our names as the socket has them."""

    def sub_of(self, pair: Listed) -> str:
        """Return the socket's name of a pair."""
        return f"{OURS.get(pair.base, pair.base)}/{OURS.get(pair.quote, pair.quote)}"

    def pair_of(self, sub: str) -> Listed | None:
        """Return the pair of the socket's name or the list's; None if it is neither."""
        base, slash, quote = sub.partition("/")
        if not (base and slash and quote) or "/" in quote:
            return None
        return Listed(VENUE, OURS.get(base, base), OURS.get(quote, quote))


def rest_name(sub: str) -> str:
    """Return what the REST API calls a channel's pair (its altname)."""
    return "".join(THEIRS.get(part, part) for part in sub.split("/"))
