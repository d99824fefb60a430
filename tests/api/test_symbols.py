from __future__ import annotations

import pytest

from datastore.api.params.symbols import ambiguous, market_text, matching_symbols, near_names

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
    assert matching_symbols(asked, KNOWN) == [symbol]


@pytest.mark.parametrize(
    ("asked", "choices"),
    [("BTC/USD", ["coinbase:BTC-USD", "kraken:BTC-USD"]), ("X:ABCUSD", ["x:AB-CUSD", "x:ABC-USD"])],
)
def test_a_spelling_that_means_several_markets_means_them_all(asked: str, choices: list[str]) -> None:
    assert matching_symbols(asked, KNOWN) == choices


def test_a_complaint_names_no_more_choices_than_one_can_read() -> None:
    assert ambiguous([f"x{n}:BTC-USD" for n in range(25)]).endswith("x19:BTC-USD and 5 more.")
    assert ambiguous(["a:B-C", "d:B-C"]) == "is ambiguous. It could be: a:B-C, d:B-C."


def test_near_names_include_the_same_pair_of_every_exchange() -> None:
    assert set(near_names("BTC-USDT", KNOWN)) >= {"coinbase:BTC-USD", "kraken:BTC-USD"}


def test_near_names_are_other_pairs_there_and_the_pair_elsewhere_in_turn() -> None:
    known = [
        "kraken:ETH-EUR",
        "kraken:BTC-EUR",
        "kraken:XRP-EUR",
        "kraken:ADA-EUR",
        "kraken:DOT-EUR",
        "coinbase:SOL-USD",
    ]
    near = near_names("kraken:SOL-EUR", known)
    assert len(near) == 5 and "coinbase:SOL-USD" in near and near[0].startswith("kraken:")


def test_a_name_unlike_all_others_has_no_near_one() -> None:
    assert near_names("zzzz", KNOWN) == matching_symbols("zzzz", KNOWN) == []


@pytest.mark.parametrize("text", ["a" * 123, "BTC\x00USD", "BTC\nUSD", "BTC\x9fUSD", "BTC\ud800USD"])
def test_text_that_no_market_is_spelled_with_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="exchange:BASE-QUOTE"):
        market_text(text)
