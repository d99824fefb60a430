from __future__ import annotations

import pytest

from datastore.api.errors import BadParameters, UnknownMarket
from datastore.api.symbols import choose, market_text, near_names

KNOWN = ["coinbase:BTC-USD", "coinbase:ETH-USD", "kraken:BTC-USD", "kraken:BTC-EUR", "x:AB-CUSD", "x:ABC-USD"]


@pytest.mark.parametrize(
    ("asked", "symbol"),
    [
        ("coinbase:BTC-USD", "coinbase:BTC-USD"),
        ("Coinbase:btc-usd", "coinbase:BTC-USD"),
        ("coinbase:BTC/USD", "coinbase:BTC-USD"),
        ("COINBASE:BTCUSD", "coinbase:BTC-USD"),
        ("ETH/USD", "coinbase:ETH-USD"),
        ("BTC-EUR", "kraken:BTC-EUR"),
        ("x:AB-CUSD", "x:AB-CUSD"),
    ],
)
def test_a_spelling_that_means_one_market_is_understood(asked: str, symbol: str) -> None:
    assert choose(asked, KNOWN) == symbol


@pytest.mark.parametrize(
    ("asked", "choices"),
    [("BTC/USD", ["coinbase:BTC-USD", "kraken:BTC-USD"]), ("X:ABCUSD", ["x:AB-CUSD", "x:ABC-USD"])],
)
def test_a_spelling_that_means_several_markets_names_them(asked: str, choices: list[str]) -> None:
    with pytest.raises(BadParameters) as caught:
        choose(asked, KNOWN)
    assert all(choice in caught.value.errors["market"][0] for choice in choices)


def test_an_unknown_market_is_told_its_near_names() -> None:
    with pytest.raises(UnknownMarket) as caught:
        choose("coinbase:BTC-USDT", KNOWN)
    assert "coinbase:BTC-USD" in caught.value.detail


def test_near_names_include_the_same_pair_of_every_exchange() -> None:
    assert set(near_names("BTC-USDT", KNOWN)) >= {"coinbase:BTC-USD", "kraken:BTC-USD"}


def test_a_name_unlike_all_others_is_sent_to_the_list_of_markets() -> None:
    with pytest.raises(UnknownMarket, match="GET /api/v1/markets"):
        choose("zzzz", KNOWN)


@pytest.mark.parametrize("text", ["a" * 101, "BTC\x00USD", "BTC\nUSD"])
def test_text_that_no_market_is_spelled_with_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="exchange:BASE-QUOTE"):
        market_text(text)
