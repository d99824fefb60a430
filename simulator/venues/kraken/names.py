"""Kraken's names of one pair: BTC/USD on the socket, XBTUSD and XBT/USD in its list, XXBTZUSD in its answers."""

from __future__ import annotations

from simulator.pairs import Pair

NEW = {"XBT": "BTC", "XDG": "DOGE"}
OLD = {new: old for old, new in NEW.items()}
OLD_CRYPTO, OLD_MONEY = {"XBT", "ETH", "LTC", "XRP", "ETC", "XLM", "XMR", "ZEC"}, {"USD", "EUR", "GBP", "JPY", "CAD"}


def socket_name(pair: Pair) -> str:
    """Return the socket's name: BTC/USD."""
    return f"{NEW.get(pair.base, pair.base)}/{NEW.get(pair.quote, pair.quote)}"


def list_name(pair: Pair) -> str:
    """Return the list's wsname: XBT/USD."""
    return f"{OLD.get(pair.base, pair.base)}/{OLD.get(pair.quote, pair.quote)}"


def short_name(pair: Pair) -> str:
    """Return the list's altname: XBTUSD."""
    return list_name(pair).replace("/", "")


def asset_name(asset: str) -> str:
    """Return what answers call one side of a pair: XXBT, ZUSD."""
    old = OLD.get(asset, asset)
    return f"X{old}" if old in OLD_CRYPTO else f"Z{old}" if old in OLD_MONEY else old


def answer_name(pair: Pair) -> str:
    """Return the key of answers: XXBTZUSD, or the short name unless both sides are old."""
    base, quote = asset_name(pair.base), asset_name(pair.quote)
    is_old = all(len(name) == 4 and name[0] in "XZ" and name[1:] in OLD_CRYPTO | OLD_MONEY for name in (base, quote))
    return base + quote if is_old else short_name(pair)
