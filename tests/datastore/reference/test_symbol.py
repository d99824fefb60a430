"""One rule for a market's name: what a provider lists, in code, database, topics and addresses alike."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from datastore.db.queries import fetch_value
from datastore.models import Market
from datastore.reference.markets import ensure_markets
from datastore.streams.topics import topic_name
from datastore.symbol import MAX_SYMBOL_LENGTH, SYMBOL_PATTERN, BadSymbol, parts_of
from streaming.records import decode, encode
from tests.support.datastore.records import NOON, trade

LISTED = ["mexc:币安人生-USDT", "mexc:$WIF-USDT", "mexc:EDG*-USDT", "coinbase:stETH-USD", "gate.io:1INCH_3L-USDC.e"]
BAD = [
    "",
    "BTC-USD",
    "Coinbase:BTC-USD",
    "coinbase:BTC",
    "a:B C-D",
    "a:B/C-D",
    "a:B~C-D",
    "a:B,C-D",
    "a:B-C-D",
    "a:b:C-D",
    "a:B\u200b-C",
    "a:B-C\n",
    "a:" + "B" * 41 + "-C",
]


@pytest.mark.parametrize("symbol", LISTED)
def test_whatever_a_provider_lists_may_be_named(symbol: str) -> None:
    exchange, base, quote = parts_of(symbol)
    assert f"{exchange}:{base}-{quote}" == symbol


@pytest.mark.parametrize("symbol", BAD)
def test_a_name_that_could_be_misread_is_refused(symbol: str) -> None:
    with pytest.raises(BadSymbol, match="exchange:BASE-QUOTE"):
        parts_of(symbol)


@pytest.mark.django_db
@pytest.mark.parametrize("symbol", BAD)
def test_the_database_refuses_it_too(symbol: str) -> None:
    with pytest.raises(IntegrityError, match="market_symbol"), transaction.atomic():
        Market.objects.create(symbol=symbol)


@pytest.mark.django_db
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5))
def test_the_database_takes_what_the_code_takes(text: str) -> None:
    symbol = f"mexc:{text}-USDT"
    try:
        parts_of(symbol)
    except BadSymbol:
        return
    assert fetch_value("select %(symbol)s ~ %(pattern)s", {"symbol": symbol, "pattern": SYMBOL_PATTERN})


@pytest.mark.django_db
@pytest.mark.parametrize("symbol", [*LISTED, f"{'x' * 40}:{'B' * 40}-{'C' * 40}"])
def test_every_name_has_a_topic_and_goes_through_records(symbol: str) -> None:
    (market,) = ensure_markets([symbol])
    assert len(symbol) <= MAX_SYMBOL_LENGTH
    assert topic_name(market, 2**31 - 1).endswith("-g2147483647")
    record = trade(1, NOON, market=symbol)
    assert decode(encode(record)) == record
