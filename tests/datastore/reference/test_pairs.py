"""The provider's list of pairs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import product
from string import ascii_uppercase

import pytest
from django.db import connection
from django.db.models import F

from datastore.api.errors import BadParameters, UnknownMarket
from datastore.api.params.market_lookup import find_market
from datastore.api.params.symbols import near_names
from datastore.ingest.live_write import store_live
from datastore.models import GapRepair, Market, Pair
from datastore.reference import pairs
from datastore.reference.markets import ensure_markets, follow, unfollow
from datastore.reference.pairs import ImplausiblePairList, Listed, save_pair_list
from tests.support.datastore.records import NOON, moment, trade

pytestmark = pytest.mark.django_db

FOUR = [
    Listed("Coinbase", "BTC", "USD"),
    Listed("Coinbase", "SOL", "USD"),
    Listed("BinanceUS", "BTC", "USD"),
    Listed("Kraken", "ETH", "EUR"),
]


def names(**where: object) -> list[str]:
    return list(Pair.objects.filter(**where).values_list("symbol", flat=True))


def test_a_list_becomes_pairs_with_the_provider_s_spelling() -> None:
    taken = save_pair_list("cryptocompare", FOUR)
    assert (taken.pairs, taken.new, taken.vanished, taken.refused) == (4, 4, 0, {})
    pair = Pair.objects.get(symbol="binanceus:BTC-USD")
    assert (pair.exchange, pair.base, pair.quote, pair.provider_exchange) == ("binanceus", "BTC", "USD", "BinanceUS")
    assert pairs.is_known() and not pairs.providers_due(["cryptocompare"])


def test_the_same_list_again_only_renews_when_it_was_seen() -> None:
    save_pair_list("cryptocompare", FOUR)
    Pair.objects.update(seen_at=F("seen_at") - timedelta(days=2))
    assert pairs.providers_due(["cryptocompare"])
    taken = save_pair_list("cryptocompare", FOUR)
    assert (taken.pairs, taken.new, taken.vanished) == (4, 0, 0)
    assert not pairs.providers_due(["cryptocompare"])


def test_a_pair_that_vanished_stays_inactive_and_comes_back() -> None:
    save_pair_list("cryptocompare", FOUR)
    assert save_pair_list("cryptocompare", FOUR[:3]).vanished == 1
    assert names(active=False) == ["kraken:ETH-EUR"]
    with pytest.raises(UnknownMarket):
        find_market("kraken:ETH-EUR")
    assert save_pair_list("cryptocompare", FOUR).new == 0
    assert names(active=False) == []


@pytest.mark.parametrize("kept", [0, 1])
def test_an_empty_list_and_one_that_lacks_more_than_half_change_nothing(kept: int) -> None:
    save_pair_list("cryptocompare", FOUR)
    before = list(Pair.objects.values())
    with pytest.raises(ImplausiblePairList, match=f"lists {kept} pairs, 4 are known"):
        save_pair_list("cryptocompare", FOUR[:kept])
    assert list(Pair.objects.values()) == before


def test_half_a_list_is_believed() -> None:
    save_pair_list("cryptocompare", FOUR)
    assert save_pair_list("cryptocompare", FOUR[:2]).vanished == 2


def test_pairs_without_a_name_of_ours_are_refused_by_name() -> None:
    odd = [Listed("Coinbase", "btc", "USD"), Listed("Coinbase", "BTC", "USD"), Listed("Coin base", "Ä€", "USD")]
    taken = save_pair_list("cryptocompare", [*odd, Listed("Okex", "yfi", "USDT")])
    assert taken.pairs == 3 and "'coin base:Ä€-USD' is not exchange:BASE-QUOTE" in taken.refused[odd[2]]
    spelling = dict(Pair.objects.values_list("symbol", "provider_base"))
    assert spelling == {"coinbase:btc-USD": "btc", "coinbase:BTC-USD": "BTC", "okex:yfi-USDT": "yfi"}


STETH, CAPITALS = Listed("Coinbase", "stETH", "USD"), Listed("Coinbase", "STETH", "USD")


def test_two_coins_whose_names_differ_by_case_are_two_markets() -> None:
    save_pair_list("cryptocompare", [STETH])
    (first,) = ensure_markets([find_market("coinbase:STETH-USD").symbol])
    save_pair_list("cryptocompare", [STETH, CAPITALS])
    second = find_market("coinbase:STETH-USD")
    assert (first.symbol, second.symbol) == ("coinbase:stETH-USD", "coinbase:STETH-USD")
    assert [market.provider_base for market in Market.objects.order_by("id")] == ["stETH", "STETH"]
    assert find_market("coinbase:stETH-USD") == first
    ensure_markets([second.symbol])
    with pytest.raises(BadParameters, match="coinbase:STETH-USD, coinbase:stETH-USD"):
        find_market("coinbase:steth/usd")


@pytest.mark.parametrize("listed", [[CAPITALS], [STETH, CAPITALS]])
def test_a_market_that_has_data_never_becomes_another_pair_s(listed: list[Listed]) -> None:
    # Older versions named every market in capitals.
    (market,) = ensure_markets(["coinbase:STETH-USD"])
    Market.objects.update(provider_base="stETH")
    store_live([trade(1, NOON, market=market.symbol)])
    taken = save_pair_list("cryptocompare", [*FOUR, *listed])
    assert Market.objects.get().provider_base == "stETH"
    assert taken.refused == {CAPITALS: "coinbase:STETH-USD is the name of Coinbase's stETH-USD here"}
    assert names(base="STETH") == [market.symbol][: len(listed) - 1]


def test_a_market_written_in_another_case_before_the_list_becomes_the_one_pair_that_is_meant() -> None:
    ensure_markets(["coinbase:steth-usd"])
    taken = save_pair_list("cryptocompare", [STETH])
    assert (taken.spelled, taken.refused, names()) == (1, {}, ["coinbase:steth-usd"])
    assert find_market("coinbase:stETH-USD").provider_base == "stETH"
    assert Market.objects.count() == 1


def test_the_case_of_an_exchange_is_mended_though_there_is_data() -> None:
    (market,) = ensure_markets(["gateio:BTC-USDT"])
    store_live([trade(1, NOON, market=market.symbol)])
    assert save_pair_list("cryptocompare", [Listed("GateIO", "BTC", "USDT")]).spelled == 1
    assert Market.objects.get().provider_exchange == "GateIO"


def test_a_market_made_before_the_list_takes_over_its_spelling() -> None:
    ensure_markets(["binanceus:BTC-USD", "bitmex:XBT-USD"])
    assert save_pair_list("cryptocompare", [*FOUR, Listed("BITMEX", "XBT", "USD")]).spelled == 1
    assert Market.objects.get(symbol="bitmex:XBT-USD").provider_exchange == "BITMEX"


def test_a_listed_market_gets_its_row_at_the_first_question_and_is_not_followed() -> None:
    save_pair_list("cryptocompare", FOUR)
    assert not Market.objects.exists()
    market = find_market("sol/usd")
    assert (market.symbol, market.followed, market.provider_exchange) == ("coinbase:SOL-USD", False, "Coinbase")
    assert find_market("coinbase:SOL-USD").pk == market.pk
    assert follow(market) and not follow(market)
    assert Market.objects.get().followed


def test_a_name_of_several_markets_means_the_one_that_is_followed() -> None:
    save_pair_list("cryptocompare", FOUR)
    with pytest.raises(BadParameters, match="binanceus:BTC-USD, coinbase:BTC-USD"):
        find_market("BTC-USD")
    ensure_markets(["coinbase:BTC-USD"])
    assert find_market("BTC-USD").symbol == "coinbase:BTC-USD"
    ensure_markets(["binanceus:BTC-USD"])
    with pytest.raises(BadParameters, match="ambiguous"):
        find_market("BTC-USD")


def test_a_market_with_a_row_is_found_though_no_list_ever_named_it() -> None:
    ensure_markets(["kraken:XBT-USDT"])
    assert find_market("xbt/usdt").symbol == "kraken:XBT-USDT"
    with pytest.raises(UnknownMarket, match="has not been read yet"):
        find_market("kraken:SOL-USDT")


def test_who_unfollows_a_market_leaves_its_holes_to_its_readers() -> None:
    (market,) = ensure_markets(["kraken:ETH-EUR"])
    for place, final in enumerate((False, True)):
        start, stop = moment(NOON + place * 60_000_000), moment(NOON + (place + 1) * 60_000_000)
        GapRepair.objects.create(market=market, resolution=60, start=start, stop=stop, reason="x", final=final)
    assert unfollow(market)
    assert list(GapRepair.objects.values_list("final", flat=True)) == [True]
    assert (Market.objects.get().followed, Market.objects.get().version) == (False, 1)
    assert not unfollow(market)


def test_near_names_of_a_pair_that_an_exchange_lacks_are_its_others_and_the_pair_elsewhere() -> None:
    save_pair_list("cryptocompare", FOUR)
    found = near_names("kraken:SOL-EUR", pairs.similar_symbols("kraken:SOL-EUR"))
    assert found == ["kraken:ETH-EUR", "coinbase:SOL-USD"]


@pytest.mark.django_db(transaction=True)
def test_askers_at_once_make_one_row() -> None:
    save_pair_list("cryptocompare", FOUR)

    def ask(_: int) -> int:
        try:
            return find_market("kraken:ETHEUR").pk
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(ask, range(12)))) == 1
    assert Market.objects.count() == 1


@pytest.fixture
def crowd() -> Iterator[None]:
    """20,000 pairs: 50 exchanges with 400 each."""
    bases = ["BTC", "ETH", *map("".join, product(ascii_uppercase, ascii_uppercase[:4]))][:100]
    listed = [
        Listed(f"Exchange{n}", base, quote)
        for n in range(50)
        for base in bases
        for quote in ("USD", "USDT", "EUR", "BTC")
    ]
    assert len(listed) == 20_000
    assert save_pair_list("cryptocompare", listed).new == 20_000
    yield


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("exchange7:BTC-USDC", "exchange7:BTC-USD"),
        ("exchnge7:ETH-EUR", "exchange7:ETH-EUR"),
        ("exchange31:EHT-USD", "exchange31:ETH-USD"),
        ("BTC-EURO", "exchange0:BTC-EUR"),
        ("nowhere:ZZTOP-USD", None),
    ],
)
def test_near_names_among_twenty_thousand_are_chosen_from_few(crowd: None, asked: str, near: str | None) -> None:
    candidates = pairs.similar_symbols(asked)
    assert len(candidates) < 2_000, "comparing each with the name is what costs time"
    found = near_names(asked, candidates)
    assert near is None or near in found


def test_a_spelling_is_found_among_twenty_thousand(crowd: None) -> None:
    assert find_market("Exchange7:btcusdt").symbol == "exchange7:BTC-USDT"
