"""Each provider against its simulated venue: what its socket, its pages and CryptoCompare say are the same trades."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import websocket

from datastore.reference.pairs import Listed
from datastore.reference.traits import Empties
from datastore.timeframes.intervals import SECOND_US
from ingestion.providers.answers import (
    CandlePage,
    CandleRow,
    CandlesAsked,
    PairList,
    ProviderTime,
    Refused,
    Request,
    TradeMark,
    TradesAsked,
)
from ingestion.providers.binance.provider import PROVIDER as BINANCE
from ingestion.providers.binance.provider import US_PROVIDER as BINANCE_US
from ingestion.providers.coinbase.provider import PROVIDER as COINBASE
from ingestion.providers.cryptocompare.provider import PROVIDER as CRYPTOCOMPARE
from ingestion.providers.events import CandleSeen, FeedRefused, Garbage, LastId, Subscribed, TradeSeen, Unsubscribed
from ingestion.providers.kraken.provider import PROVIDER as KRAKEN
from ingestion.providers.okx.provider import PROVIDER as OKX
from ingestion.providers.port import Provider
from tests.support.simulator import Simulator, VenueAddress, running_venues
from tests.support.venue_client import call, connected, read_candles, trade_pages, trades_of

MINUTE_US = 60 * SECOND_US
Bar = tuple[Decimal, Decimal, Decimal, Decimal, Decimal, int]  # open, high, low, close, volume, trades
Same = tuple[int, int, Decimal, Decimal, int]  # id, microseconds, price, amount, taker's side


@dataclass(frozen=True)
class Case:
    """One provider with a busy and a quiet market of its venue."""

    provider: Provider
    busy: Listed
    thin: Listed

    @property
    def name(self) -> str:
        return self.provider.name

    @property
    def sub(self) -> str:
        return self.provider.names.sub_of(self.busy)

    @property
    def aggregates(self) -> bool:
        return self.name.startswith("binance")


CASES = [
    Case(COINBASE, Listed("coinbase", "BTC", "USD"), Listed("coinbase", "LTC", "EUR")),
    Case(BINANCE, Listed("binance", "BTC", "USDT"), Listed("binance", "ADA", "BTC")),
    Case(BINANCE_US, Listed("binanceus", "ETH", "USD"), Listed("binanceus", "LTC", "USD")),
    Case(KRAKEN, Listed("kraken", "BTC", "USD"), Listed("kraken", "DOGE", "USDT")),
    Case(OKX, Listed("okx", "BTC", "USDT"), Listed("okx", "LTC", "USDT")),
]
MARKETS = ",".join(f"{pair.exchange}:{pair.base}-{pair.quote}" for case in CASES for pair in (case.busy, case.thin))
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running_venues(tmp_path_factory.mktemp("venues"), MARKETS, "--speed", "20", "--no-limits") as simulator:
        yield simulator


@pytest.fixture
def venue(simulator: Simulator, case: Case) -> VenueAddress:
    return simulator.venue(case.name)


def same(trades: Sequence[TradeSeen]) -> list[Same]:
    return [(int(trade.id), trade.ts, trade.price, trade.amount, trade.side) for trade in trades]


def mark_before(trade: TradeSeen) -> TradeMark:
    """Return the mark of the trade before this one, of its time: the page that follows it begins with this one."""
    return TradeMark(int(trade.id) - 1, trade.ts, (trade.first or 0) - 1)


def cryptocompare_trades(simulator: Simulator, pair: Listed, upto: int) -> dict[int, Same]:
    """Return a market's newest trades as CryptoCompare's protocol has them, when it has discovered the last one."""
    simulator.wait_until(upto / SECOND_US + 5)
    simulator.fault("bridge", replay=20_000)
    stream, sub = CRYPTOCOMPARE.stream(), CRYPTOCOMPARE.names.sub_of(pair)
    found: list[TradeSeen] = []
    with simulator.connect(f"for {sub}") as client:
        for frame in stream.subscribe([sub]):
            client.send(frame.decode())
        while '"TYPE":"16"' not in (text := client.text()):
            found += [event for event in stream.read_frame(text.encode()) if isinstance(event, TradeSeen)]
    return {row[0]: row for row in same(found)}


def split(trade: TradeSeen, single: dict[int, Same]) -> Same:
    """Return an aggregate as the single trades in it make it."""
    assert trade.first is not None and trade.last is not None
    inside = [single[id] for id in range(trade.first, trade.last + 1)]
    ((ts, price, side),) = {(ts, price, side) for _, ts, price, _, side in inside}
    return int(trade.id), ts, price, sum((amount for *_, amount, _ in inside), Decimal()), side


@each_case
def test_socket_pages_and_cryptocompare_have_the_same_trades_to_the_digit(
    simulator: Simulator, venue: VenueAddress, case: Case
) -> None:
    with connected(case.provider, venue) as client:
        client.subscribe(case.sub)
        client.until(TradeSeen, lambda trade: not trade.replayed, 150)
        assert not [event for event in client.events if isinstance(event, Garbage | FeedRefused)]
        live = [trade for trade in client.trades(case.sub) if not trade.replayed]
    pages = trade_pages(case.provider, venue, TradesAsked(case.sub, mark_before(live[0])))
    paged = trades_of(pages)[: len(live)]
    assert not any(page.garbage or page.floor for page in pages)
    assert same(live) == same(paged)
    assert [(trade.first, trade.last) for trade in live] == [(trade.first, trade.last) for trade in paged]
    single = cryptocompare_trades(simulator, case.busy, live[-1].ts)
    assert same(live) == [split(trade, single) for trade in live]
    assert case.aggregates == any(trade.first != trade.last for trade in live)
    for before, after in itertools.pairwise(live):
        assert after.first == (before.last or 0) + 1 and int(after.id) == int(before.id) + 1


@each_case
def test_the_last_trade_before_a_subscription_joins_the_first_one_of_it(venue: VenueAddress, case: Case) -> None:
    with connected(case.provider, venue) as client:
        client.subscribe(case.sub)
        client.until(TradeSeen, lambda trade: not trade.replayed)
        replayed = [trade for trade in client.trades(case.sub) if trade.replayed]
    assert len(replayed) == {"coinbase": 1, "kraken": 50}.get(case.name, 0)
    ids = [int(trade.id) for trade in client.trades(case.sub)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


@each_case
def test_statements_of_the_last_id_are_true(simulator: Simulator, venue: VenueAddress, case: Case) -> None:
    thin = case.provider.names.sub_of(case.thin)
    with connected(case.provider, venue) as client:
        client.subscribe(case.sub, thin)
        if case.name in ("kraken", "okx"):  # their sockets make none
            client.until(TradeSeen, lambda trade: not trade.replayed)
        elif case.name == "coinbase":
            client.until(LastId, lambda said: said.sub == thin, 3)
        else:
            client.until(CandleSeen, lambda candle: candle.sub == thin and candle.closed, 2)
            client.until(LastId, lambda said: said.sub == case.sub, 3)
        said = [event for event in client.events if isinstance(event, LastId)]
        seen = client.trades(case.sub) + client.trades(thin)
    for each in said:
        known = [trade for trade in seen if trade.sub == each.sub]
        assert all((trade.last or 0) <= each.id for trade in known if trade.ts < each.at)
        assert all((trade.last or 0) > each.id for trade in known if trade.ts > each.at + 4 * SECOND_US)


@each_case
def test_an_ended_subscription_sends_nothing_more(venue: VenueAddress, case: Case) -> None:
    with connected(case.provider, venue) as client:
        client.subscribe(case.sub)
        client.until(TradeSeen, lambda trade: not trade.replayed)
        client.unsubscribe(case.sub)
        ended = next(at for at, event in enumerate(client.events) if isinstance(event, Unsubscribed))
        client.subscribe(case.sub)
        again = next(at for at, event in enumerate(client.events) if at > ended and isinstance(event, Subscribed))
    assert not [event for event in client.events[ended:again] if isinstance(event, TradeSeen)]


def expected_candle(start: int, trades: Sequence[TradeSeen]) -> Bar | None:
    """Return what the trades of a minute make; its start in microseconds."""
    inside = [trade for trade in trades if start <= trade.ts < start + MINUTE_US]
    prices = [trade.price for trade in inside]
    count = sum((trade.last or 0) - (trade.first or 0) + 1 for trade in inside)
    volume = sum((trade.amount for trade in inside), Decimal())
    return (prices[0], max(prices), min(prices), prices[-1], volume, count) if prices else None


def page_of_candles(case: Case, venue: VenueAddress, sub: str, size: int, start: int, stop: int) -> list[CandleRow]:
    page = read_candles(case.provider, venue, CandlesAsked(sub, size, start, stop))
    assert isinstance(page, CandlePage), page
    assert page.unreadable == 0
    return sorted((row for row in page.rows if start <= row.time * SECOND_US < stop), key=lambda row: row.time)


@each_case
@pytest.mark.parametrize("which", ["busy", "thin"])
def test_candles_are_what_the_trades_make_as_the_traits_say(
    simulator: Simulator, venue: VenueAddress, case: Case, which: str
) -> None:
    sub = case.provider.names.sub_of(getattr(case, which))
    stop = int(simulator.now()) // 60 * MINUTE_US
    start = stop - 30 * MINUTE_US
    rows = page_of_candles(case, venue, sub, 60, start, stop)
    before, close = last_before(simulator, getattr(case, which), start)
    trades = trades_of(trade_pages(case.provider, venue, TradesAsked(sub, before)))
    traits = case.provider.traits.candles
    starts = range(start, stop, MINUTE_US)
    starts = range(start, stop, MINUTE_US)
    made = {at // SECOND_US: bar for at in starts if (bar := expected_candle(at, trades))}
    times = list(made) if traits.empties is Empties.OMITTED else [at // SECOND_US for at in starts]
    assert [row.time for row in rows] == times
    for row in rows:
        expected = made.get(row.time, (close, close, close, close, Decimal(), 0))
        close, volume = expected[3:5]
        assert (row.open, row.high, row.low, row.close) == expected[:4]
        assert row.trades == (expected[5] if traits.trade_counts else None)
        assert abs(row.volume - volume) <= (0 if traits.trade_counts else traits.volume_tolerance * volume)
        if row.quote_volume is not None:
            inside = [trade for trade in trades if trade.ts // MINUTE_US * 60 == row.time]
            exact = sum((trade.price * trade.amount for trade in inside), Decimal())
            assert 0 <= exact - row.quote_volume <= expected[5] * (traits.quote_volume_step or 0)


def last_before(simulator: Simulator, pair: Listed, start: int) -> tuple[TradeMark, Decimal]:
    """Return a market's last trade before a time in microseconds, and its price."""
    name, stop = f"{pair.exchange}:{pair.base}-{pair.quote}", start * 1000
    rows = simulator.get(f"/control/trades?market={name}&from={stop - 3600 * 10**9}&to={stop}")["trades"]
    id, _, last, ns, price, *_ = rows[-1]
    return TradeMark(id, ns // 1000, last), Decimal(price)


@each_case
def test_hours_and_days_are_what_their_minutes_are(simulator: Simulator, venue: VenueAddress, case: Case) -> None:
    hour = (int(simulator.now()) // 3600 - 2) * 3600 * SECOND_US
    minutes = page_of_candles(case, venue, case.sub, 60, hour, hour + 60 * MINUTE_US)
    (row,) = page_of_candles(case, venue, case.sub, 3600, hour, hour + 60 * MINUTE_US)
    assert (row.open, row.high) == (minutes[0].open, max(minute.high for minute in minutes))
    assert (row.low, row.close) == (min(minute.low for minute in minutes), minutes[-1].close)
    assert row.volume == pytest.approx(sum(minute.volume for minute in minutes))
    day = (int(simulator.now()) // 86_400 - 3) * 86_400 * SECOND_US
    hours = page_of_candles(case, venue, case.sub, 3600, day, day + 1440 * MINUTE_US)
    (row,) = page_of_candles(case, venue, case.sub, 86_400, day, day + 1440 * MINUTE_US)
    assert (row.open, row.close) == (hours[0].open, hours[-1].close)
    assert row.volume == pytest.approx(sum(hour.volume for hour in hours))
    if row.trades is not None:
        assert row.trades == sum(hour.trades or 0 for hour in hours)


@each_case
def test_the_catalogue_names_the_markets_and_the_clock_is_the_simulators(
    simulator: Simulator, venue: VenueAddress, case: Case
) -> None:
    catalogue = case.provider.catalogue
    found = catalogue.read_pairs(call(venue, catalogue.pairs_request()))
    assert isinstance(found, PairList) and found.unreadable == 0
    assert {market.pair for market in found.markets} == {case.busy, case.thin}
    assert all(market.tick and market.lot == Decimal("1e-8") for market in found.markets)
    request = catalogue.time_request()
    assert request is not None
    before = simulator.now()
    time = catalogue.read_time(call(venue, request))
    assert isinstance(time, ProviderTime)
    assert before - time.step / SECOND_US <= time.at / SECOND_US <= simulator.now()
    assert "simulated" in call(venue, request).headers["X-Provider"]


def test_the_simulators_own_list_of_trades_is_what_a_venue_answers(simulator: Simulator) -> None:
    venue = simulator.venue("binance")
    page = BINANCE.history.read_trades(
        asked := TradesAsked("BTCUSDT", None), None, call(venue, BINANCE.history.trades_request(asked))
    )
    assert page.trades  # type: ignore[union-attr]
    now = int(simulator.now() * 1e9)
    told = simulator.get(f"/control/trades?market=binance:BTC-USDT&from={now - 60 * 10**9}&to={now}")["trades"]
    first = TradeMark(told[0][0] - 1, told[0][3] // 1000, 0)
    paged = trades_of(trade_pages(BINANCE, venue, TradesAsked("BTCUSDT", first)))[: len(told)]
    assert [[int(trade.id), trade.first, trade.last, trade.ts] for trade in paged] == [
        [id, first, last, ns // 1000] for id, first, last, ns, *_ in told
    ]
    assert [(trade.price, trade.amount) for trade in paged] == [(Decimal(row[4]), Decimal(row[5])) for row in told]


def test_binances_addresses_can_name_their_streams(simulator: Simulator) -> None:
    root = simulator.venue("binance").ws_url.removesuffix("/stream")
    wrapped = websocket.create_connection(f"{root}/stream?streams=btcusdt@aggTrade/adabtc@aggTrade", timeout=20)
    plain = websocket.create_connection(f"{root}/ws/btcusdt@aggTrade", timeout=20)
    try:
        frame = json.loads(wrapped.recv())
        assert frame["stream"].endswith("@aggTrade") and frame["data"]["e"] == "aggTrade"
        assert json.loads(plain.recv())["s"] == "BTCUSDT"
        plain.send('{"method":"LIST_SUBSCRIPTIONS","id":5}')
        while "result" not in (answer := json.loads(plain.recv())):
            pass
        assert answer == {"result": ["btcusdt@aggTrade"], "id": 5}
    finally:
        for web in (wrapped, plain):
            web.close()
            web.shutdown()


def test_binance_accepts_a_stream_that_nobody_has(simulator: Simulator) -> None:
    with connected(BINANCE, simulator.venue("binance")) as client:
        client.subscribe("NOBODYUSDT")
        client.web.send('{"method":"SUBSCRIBE","params":["BTCUSDT@aggTrade"],"id":9}')  # streams are in lower case
        client.subscribe("BTCUSDT")
        client.until(TradeSeen)
        assert client.trades("NOBODYUSDT") == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("coinbase/products/BTC-USD/trades?limit=1001", 400),
        ("coinbase/products/BTC-USD/candles?granularity=61", 400),
        ("coinbase/products/BTC-USD/candles?granularity=60&start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z", 400),
        ("coinbase/products/BTC-USD/candles?granularity=60&start=soon&end=later", 400),
        ("coinbase/products/XYZ-USD/trades", 404),
        ("binance/api/v3/aggTrades?symbol=BTCUSDT&fromId=1&startTime=5", 400),
        ("binance/api/v3/klines?symbol=BTCUSDT&interval=1y", 400),
        ("binance/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=soon", 400),
        ("binance/api/v3/aggTrades", 400),
        ("binance/api/v3/exchangeInfo?symbol=XYZ", 400),
        ("kraken/0/public/Trades?pair=BTCUSD", 200),
        ("kraken/0/public/OHLC?pair=XBTUSD&interval=7", 200),
        ("kraken/0/public/Trades?pair=XBTUSD&count=1001", 200),
    ],
)
def test_a_bad_call_is_refused_as_the_venue_does(simulator: Simulator, path: str, status: int) -> None:
    name, _, rest = path.partition("/")
    answer = call(simulator.venue(name), Request(f"/{rest}"))
    assert answer.status == status
    said = json.loads(answer.body)
    assert said["error"][0].startswith("E") if name == "kraken" else said.get("message") or said["code"] < 0
    case = next(case for case in CASES if case.name == name)
    asked = TradesAsked(case.sub, None)
    assert isinstance(case.provider.history.read_trades(asked, None, answer), Refused)


def test_pages_of_binance_can_be_of_a_time_and_of_single_trades(simulator: Simulator) -> None:
    venue = simulator.venue("binance")
    now = int(simulator.now()) * 1000
    start = now - 120_000

    def page(path: str) -> list[dict[str, Any]]:
        return list(json.loads(call(venue, Request(path)).body))

    rows = page(f"/api/v3/aggTrades?symbol=BTCUSDT&startTime={start}&endTime={start + 30_000}&limit=1000")
    assert rows and all(start <= row["T"] <= start + 30_000 for row in rows)
    single = page(f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={rows[0]['f']}&limit=1000")
    assert [row["id"] for row in single] == list(range(rows[0]["f"], rows[0]["f"] + len(single)))
    merged = [row for row in single if row["id"] <= rows[-1]["l"]]
    assert sum(Decimal(row["qty"]) for row in merged) == sum(Decimal(row["q"]) for row in rows)
    assert len(page("/api/v3/trades?symbol=BTCUSDT&limit=7")) == 7
    weeks = page("/api/v3/klines?symbol=BTCUSDT&interval=1w&limit=3")
    assert [row[0] // 86_400_000 % 7 for row in weeks] == [4, 4, 4]  # type: ignore[index]  # Mondays
