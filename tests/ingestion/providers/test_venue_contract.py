"""What every venue's provider has to do, whatever the venue sends."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datastore.reference.pairs import Listed
from datastore.reference.traits import PageBy, Proof
from ingestion.providers.port import (
    Answer,
    Blocked,
    CandlePage,
    CandlesAsked,
    FeedRefused,
    Garbage,
    LastId,
    MarketState,
    PairList,
    ProviderTime,
    RateLimited,
    Refused,
    Subscribed,
    TradePage,
    TradesAsked,
    TradeSeen,
    Trouble,
    Unauthorized,
    Unavailable,
    Unsubscribed,
)
from tests.support.examples import examples
from tests.support.ingestion.venues import (
    AT,
    BINANCE_US_VENUE,
    BINANCE_VENUE,
    COINBASE_VENUE,
    HTML,
    OKX_VENUE,
    VENUES,
    Made,
    Venue,
    answer,
    needs_real,
    query_of,
    session,
)

START = 1_787_626_680_000_000
TROUBLES = (RateLimited, Refused, Unauthorized, Blocked, Unavailable)
each_venue = pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9)
    | st.sampled_from(["NaN", "1e999999999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def candles_asked(venue: Venue) -> CandlesAsked:
    return CandlesAsked(venue.sub, 60, START, START + 120_000_000)


def market(venue: Venue, count: int, first: int = 3_000_000_000) -> list[Made]:
    """Return trades of a made-up market; many share a time, and some cover several ids if the venue aggregates."""
    trades, fill = [], first * 2
    for number in range(count):
        fills = (fill, fill + number % 3) if venue.aggregates else None
        fill += number % 3 + 1
        ts = START + number // 7 * 250_000
        trades.append(Made(first + number, ts, str(100 + number % 9), "0.5", -1 if number % 2 else 1, fills))
    return trades


def rows_per_page(venue: Venue) -> int:
    traits = venue.provider.traits.trades
    assert traits is not None
    return traits.rows_per_page


def walk(venue: Venue, trades: list[Made], asked: TradesAsked) -> tuple[list[TradePage], list[str]]:
    history, cursor, pages, paths = venue.provider.history, None, list[TradePage](), list[str]()
    while True:
        paths.append(history.trades_request(asked, cursor).path)
        page = history.read_trades(asked, cursor, venue.answer(trades, paths[-1]))
        assert isinstance(page, TradePage), page
        pages.append(page)
        if page.cursor is None:
            return pages, paths
        cursor = page.cursor
        assert len(pages) < 20_000 / rows_per_page(venue)


@each_venue
def test_traits_say_what_there_is_to_know(venue: Venue) -> None:
    traits = venue.provider.traits
    assert traits.venues == (traits.name,) and not traits.needs_key
    assert {host.serves: host.url.split(":")[0] for host in traits.hosts} == {"stream": "wss", "rest": "https"}
    assert {host.setting for host in traits.hosts} == {f"{traits.name.upper()}_{kind}_URL" for kind in ("WS", "REST")}
    assert traits.proofs[0] is (Proof.CONNECTION if venue is OKX_VENUE else Proof.IDS)
    assert traits.candles.resolutions.keys() >= {60, 3600, 86_400}
    assert traits.terms.endswith(".") and traits.limits.calls
    assert (venue.provider.stream().keep_alive() is None) == (traits.stream.keep_alive is None)
    settings_named = [host.setting for other in VENUES for host in other.provider.traits.hosts]
    assert len(settings_named) == len(set(settings_named))


@each_venue
def test_a_trade_is_read_to_the_digit_with_its_taker_its_ids_and_its_time(venue: Venue) -> None:
    fills = (7_000_000_001, 7_000_000_003) if venue.aggregates else None
    made = Made(3_000_000_001, START + 241_000, side=-1, fills=fills)
    (trade,) = venue.provider.stream().read_frame(json.dumps(venue.frame_of(made)).encode())
    assert isinstance(trade, TradeSeen)
    assert (trade.sub, trade.id, trade.seq, trade.first, trade.last) == (
        venue.sub, str(made.id), made.id, made.first, made.last,
    )  # fmt: skip
    assert (trade.ts, trade.side, trade.price) == (made.ts, -1, Decimal("80000.52"))
    assert trade.amount == Decimal("0.00000842") and not trade.replayed
    (other,) = venue.provider.stream().read_frame(json.dumps(venue.frame_of(Made(1, START))).encode())
    assert isinstance(other, TradeSeen) and other.side == 1


def trades_without_a_hole(venue: Venue, frames: Sequence[bytes]) -> dict[str, int]:
    """Return how many trades of each market are in a session's frames, which all have to be read."""
    stream, markets = venue.provider.stream(), defaultdict[str, list[TradeSeen]](list)
    events = [event for raw in frames for event in stream.read_frame(raw)]
    assert not any(isinstance(event, Garbage) for event in events)
    for event in events:
        if isinstance(event, TradeSeen):
            markets[event.sub].append(event)
    for before, after in itertools.chain.from_iterable(map(itertools.pairwise, markets.values())):
        assert (after.first, int(after.id)) == ((before.last or 0) + 1, int(before.id) + 1)
        assert after.ts >= before.ts
    for said in events:
        if isinstance(said, LastId):  # nothing that was traded by then has a later id, whenever it came
            assert all((trade.last or 0) <= said.id for trade in markets[said.sub] if trade.ts < said.at)
    return {sub: len(trades) for sub, trades in markets.items()}


@each_venue
def test_the_frames_of_a_session_are_all_read_and_their_ids_have_no_hole(venue: Venue) -> None:
    found = trades_without_a_hole(venue, venue.frames())
    assert len(found) == (venue.recording is not None)


@needs_real
@pytest.mark.parametrize(
    ("venue", "name", "channels", "counts"),
    [(BINANCE_US_VENUE, "binance-us-frames.txt", ("@aggTrade", "@kline_1m"), [11]),
     (OKX_VENUE, "okx-frames.txt", ('"channel":"trades"',), [1, 4, 69])],
    ids=["binanceus", "okx"],
)  # fmt: skip
def test_real_sessions_are_read_and_their_ids_have_no_hole(
    venue: Venue, name: str, channels: tuple[str, ...], counts: list[int]
) -> None:
    assert sorted(trades_without_a_hole(venue, session(name, *channels)).values()) == counts


@each_venue
def test_what_is_subscribed_to_is_confirmed_and_what_ends_is_said_to_end(venue: Venue) -> None:
    stream = venue.provider.stream()
    for frame in map(json.loads, stream.subscribe([venue.sub])):
        events = [event for raw in venue.confirmed(frame) for event in stream.read_frame(raw.encode())]
        assert [event for event in events if isinstance(event, Subscribed)] == [Subscribed(venue.sub)]
        assert not any(isinstance(event, Garbage | FeedRefused) for event in events)
    for frame in map(json.loads, stream.unsubscribe([venue.sub])):
        events = [event for raw in venue.ended(frame) for event in stream.read_frame(raw.encode())]
        assert [event for event in events if isinstance(event, Unsubscribed)] == [Unsubscribed(venue.sub)]


@each_venue
def test_a_refused_market_is_named_and_the_others_go_on(venue: Venue) -> None:
    stream = venue.provider.stream()
    (frame,) = map(json.loads, stream.subscribe([venue.sub]))
    (refused,) = stream.read_frame(venue.refused(frame).encode())
    assert isinstance(refused, FeedRefused)
    assert (refused.sub, refused.http_status) == (venue.sub, 400) and refused.reason


@each_venue
def test_every_market_of_many_is_asked_for_once_in_frames_of_reasonable_size(venue: Venue) -> None:
    pairs = [Listed(venue.name, f"B{number}", "USD") for number in range(250)]
    subs = [venue.provider.names.sub_of(pair) for pair in pairs]
    frames = venue.provider.stream().subscribe(subs)
    text = b"\n".join(frames).decode()
    assert all(len(frame) < 16_384 for frame in frames)
    for sub in subs:
        spelled = f'"{sub}"' if f'"{sub}"' in text else f'"{sub.lower()}@aggTrade"'
        assert text.count(spelled) == 1


@each_venue
@given(raw=st.binary(max_size=60) | anything.map(lambda found: json.dumps(found).encode()))
def test_no_frame_makes_it_raise_and_none_that_is_unknown_is_swallowed(venue: Venue, raw: bytes) -> None:
    assume(raw != b"pong")  # OKX's answer to a ping, which the examples know from its source
    assert any(isinstance(event, Garbage) for event in venue.provider.stream().read_frame(raw))


@each_venue
@given(data=st.data())
def test_a_damaged_trade_is_a_trade_or_garbage_and_never_nothing(venue: Venue, data: st.DataObject) -> None:
    frame = venue.frame_of(Made(3_000_000_001, START))
    inner = frame["data"][0] if "data" in frame else frame
    where = data.draw(st.sampled_from([frame, inner]))
    name = data.draw(st.sampled_from(sorted(where)))
    if data.draw(st.booleans()):
        del where[name]
    else:
        where[name] = data.draw(anything)
    raw = json.dumps(frame).encode()
    raw = raw[: data.draw(st.integers(1, len(raw)))] if data.draw(st.booleans()) else raw
    events = venue.provider.stream().read_frame(raw)
    empty = isinstance(frame.get("data"), list) and not frame["data"]  # a snapshot without trades is whole
    assert empty or events
    assert all(isinstance(event, TradeSeen | Garbage) for event in events)
    for event in events:
        if isinstance(event, TradeSeen):
            assert event.price > 0 <= event.amount and event.first is not None and event.first <= (event.last or 0)


@each_venue
def test_several_documents_in_one_frame_are_all_read(venue: Venue) -> None:
    one, two = (json.dumps(venue.frame_of(Made(number, START))) for number in (5, 6))
    events = venue.provider.stream().read_frame(f"{one}\n{two}\n".encode())
    assert [event.id for event in events if isinstance(event, TradeSeen)] == ["5", "6"]
    spread = json.dumps(venue.frame_of(Made(5, START)), indent=1).encode()
    assert [type(event) for event in venue.provider.stream().read_frame(spread)] == [TradeSeen]


@each_venue
@examples(25)
@given(data=st.data())
def test_pages_bring_every_trade_between_two_known_ones_once(venue: Venue, data: st.DataObject) -> None:
    trades = market(venue, data.draw(st.integers(2, 2600)))
    low, high = sorted(data.draw(st.tuples(st.integers(0, len(trades) - 1), st.integers(0, len(trades)))))
    before = trades[high].mark if high < len(trades) else None
    pages, _ = walk(venue, trades, TradesAsked(venue.sub, trades[low].mark, before))
    found = sorted((trade for page in pages for trade in page.trades), key=lambda trade: int(trade.id))
    wanted = trades[low + 1 : high]
    assert [(int(each.id), each.ts, each.first, each.last) for each in found] == [
        (each.id, each.ts // venue.steps * venue.steps, each.first, each.last) for each in wanted
    ]
    assert [each.side for each in found] == [each.side for each in wanted]
    assert not any(page.garbage or page.floor for page in pages)
    statements = {page.newest for page in pages} - {None}
    if before is None:
        said = {LastId(venue.sub, trades[-1].last, AT - 2_000_000)}
        assert statements == (said if venue.tells_newest else set())


@each_venue
@pytest.mark.parametrize("size", [0, 1, *range(990, 1002), 2000])
def test_no_trade_is_lost_where_a_page_ends_and_no_call_is_made_for_nothing(venue: Venue, size: int) -> None:
    trades = market(venue, size + 3)
    pages, _ = walk(venue, trades, TradesAsked(venue.sub, trades[0].mark, trades[size + 1].mark))
    ids = sorted(int(trade.id) for page in pages for trade in page.trades)
    assert ids == [trade.id for trade in trades[1 : size + 1]]
    assert venue.provider.traits.trades is not None
    overlap = 0 if venue.provider.traits.trades.page_by is PageBy.ID else 2 * 7  # trades of one time, at either end
    assert len(pages) <= max(1, -(-size // (rows_per_page(venue) - overlap)))


@each_venue
def test_what_a_venue_sends_beside_what_was_asked_is_not_passed_on(venue: Venue) -> None:
    trades = market(venue, 30)
    asked = TradesAsked(venue.sub, trades[10].mark, trades[20].mark)
    for sent in (trades, trades[::-1], trades[9:22]):
        body = venue.body_of([venue.row_of(trade) for trade in sent], sent)
        page = venue.provider.history.read_trades(asked, None, answer(body))
        assert isinstance(page, TradePage)
        assert [int(trade.id) for trade in page.trades] == [trade.id for trade in trades[11:20]]
        assert page.cursor is None and not page.floor


@each_venue
def test_pages_reach_back_to_the_first_trade(venue: Venue) -> None:
    trades = market(venue, 1500, first=1)
    pages, _ = walk(venue, trades, TradesAsked(venue.sub, None))
    assert sum(len(page.trades) for page in pages) == 1500
    assert not any(page.floor for page in pages) or venue.aggregates  # whose numbers begin with 0


@each_venue
@examples(25)
@given(data=st.data())
def test_pages_bring_all_that_was_traded_before_a_known_trade_back_to_a_time(venue: Venue, data: st.DataObject) -> None:
    trades = market(venue, data.draw(st.integers(2, 3500)))
    high = data.draw(st.integers(1, len(trades) - 1))
    since = trades[data.draw(st.integers(0, high))].ts
    pages, _ = walk(venue, trades, TradesAsked(venue.sub, None, trades[high].mark, since))
    found = sorted(int(trade.id) for page in pages for trade in page.trades)
    wanted = [trade.id for trade in trades[:high] if trade.ts >= since]
    assert found == list(range(found[0], trades[high].id)) if found else not wanted
    assert set(wanted) <= set(found)
    assert len(found) - len(wanted) <= 1000
    assert not any(page.garbage for page in pages)
    short = len(found) == high and not (since > trades[0].ts)  # all there is, and older ones were asked for
    assert not any(page.floor for page in pages) or short


@each_venue
def test_pages_by_id_go_down_without_a_hole_at_any_moment(venue: Venue) -> None:
    trades = market(venue, 3200)
    pages, _ = walk(venue, trades, TradesAsked(venue.sub, None, trades[3100].mark, trades[900].ts))
    assert venue.provider.traits.trades is not None
    if venue.provider.traits.trades.page_by is PageBy.TIME:
        assert int(pages[0].trades[0].id) == min(each.id for each in trades if each.ts == trades[900].ts)
        return
    lowest = trades[3100].id
    for page in pages:
        assert int(page.trades[-1].id) == lowest - 1
        lowest = int(page.trades[0].id)
    brought = trades[3100].id - trades[899].id  # the first older one ends it
    assert len(pages) == -(-brought // venue.provider.traits.trades.rows_per_page)


@each_venue
def test_trades_that_the_venue_no_longer_has_are_said_to_lie_below_its_floor(venue: Venue) -> None:
    trades = market(venue, 30)
    pages, _ = walk(venue, trades[10:], TradesAsked(venue.sub, trades[2].mark, trades[20].mark))
    assert [int(each.id) for page in pages for each in page.trades] == [trade.id for trade in trades[10:20]]
    assert any(page.floor for page in pages)


@pytest.mark.parametrize("venue", [COINBASE_VENUE, BINANCE_VENUE, OKX_VENUE])  # pages of Kraken overlap on purpose
def test_a_page_that_does_not_go_on_where_it_was_asked_to_is_no_page(venue: Venue) -> None:
    trades, history = market(venue, 30), venue.provider.history
    asked = TradesAsked(venue.sub, trades[10].mark, trades[20].mark)
    goes_up = venue.name == "binance"
    cursor = str(trades[25].id if goes_up else trades[10].id)
    shifted = [trades[0]] if goes_up else [trades[28]]
    body = venue.body_of([venue.row_of(trade) for trade in shifted], shifted)
    assert isinstance(history.read_trades(asked, cursor, answer(body)), Unavailable)


@each_venue
@given(damage=anything, where=st.integers(0, 9))
def test_a_torn_row_is_reported_the_others_stay_and_nothing_is_said_of_the_newest(
    venue: Venue, damage: Any, where: int
) -> None:
    trades = market(venue, 11)
    asked, history = TradesAsked(venue.sub, trades[0].mark), venue.provider.history
    found = venue.page_of(trades, history.trades_request(asked).path)
    rows = [venue.row_of(trade) for trade in found]
    rows[where] = damage
    page = history.read_trades(asked, None, answer(venue.body_of(rows, found)))
    assert isinstance(page, TradePage)
    assert len(page.garbage) == 1 and page.newest is None
    assert len(page.trades) >= 9


@each_venue
def test_two_different_trades_of_one_id_are_not_one_of_them_silently(venue: Venue) -> None:
    trades = market(venue, 3)
    doubled = [*trades, Made(trades[1].id, trades[1].ts, price="7", fills=trades[1].fills), trades[2]]
    asked = TradesAsked(venue.sub, trades[0].mark)
    page = venue.provider.history.read_trades(
        asked, None, answer(venue.body_of([venue.row_of(each) for each in doubled], doubled))
    )
    assert isinstance(page, TradePage)
    assert (len(page.trades), len(page.garbage)) == (2, 1)


@each_venue
def test_an_old_copy_says_nothing_of_the_time_since_it_was_made(venue: Venue) -> None:
    trades = market(venue, 3)
    asked = TradesAsked(venue.sub, trades[0].mark)
    found = venue.page_of(trades, venue.provider.history.trades_request(asked).path)
    body = venue.body_of([venue.row_of(each) for each in found], found)
    page = venue.provider.history.read_trades(asked, None, answer(body, Age="30"))
    said = LastId(venue.sub, trades[-1].last, AT - 32_000_000)
    assert isinstance(page, TradePage) and page.newest == (said if venue.tells_newest else None)
    undated = venue.provider.history.read_trades(asked, None, Answer(200, {}, body.encode()))
    assert isinstance(undated, TradePage) and undated.newest is None and len(undated.trades) == 2


@each_venue
def test_candles_are_read_to_the_digit_and_torn_rows_are_counted(venue: Venue) -> None:
    history = venue.provider.history
    page = history.read_candles(candles_asked(venue), answer(venue.candles))
    assert isinstance(page, CandlePage) and page.at == AT and page.unreadable == 0
    rows = {row.time * 1_000_000: row for row in page.rows}
    small, large = rows[START], rows[START + 60_000_000]
    assert (small.low, small.high, small.close) == (Decimal("0.00000001"), Decimal(2), Decimal(2))
    assert [str(each) for each in (large.open, large.high, large.low, large.close, large.volume)] == [
        "73243.33", "73402.47", "73241.5", "73370.65", "1.56794406",
    ]  # fmt: skip
    traits = venue.provider.traits.candles
    assert (large.quote_volume is not None, large.trades == 41) == (traits.quote_volume, traits.trade_counts)
    torn = history.read_candles(candles_asked(venue), answer(venue.candles.replace("1.56794406", "{}")))
    assert (isinstance(torn, CandlePage) and (len(torn.rows), torn.unreadable) == (1, 1)) or '"{}"' in venue.candles


@each_venue
def test_candles_are_asked_for_from_the_first_bucket_to_the_last(venue: Venue) -> None:
    asked = candles_asked(venue)
    for resolution in venue.provider.traits.candles.resolutions:
        stop = START // (resolution * 10**6) * resolution * 10**6
        request = venue.provider.history.candles_request(
            CandlesAsked(asked.sub, resolution, stop - 2 * resolution * 10**6, stop)
        )
        assert request.path.isascii() and request.weight >= 1 and query_of(request.path)
    text = repr(query_of(venue.provider.history.candles_request(asked).path))
    millis, seconds = START // 1000, START // 10**6
    spellings = ("2026-08-25T02:58:00+00:00", str(millis), str(millis - 1), str(seconds - 60))
    assert any(spelled in text for spelled in spellings)


@each_venue
def test_no_call_weighs_more_than_its_window_allows(venue: Venue) -> None:
    history, catalogue, limits = venue.provider.history, venue.provider.catalogue, venue.provider.traits.limits
    requests = [
        history.trades_request(TradesAsked(venue.sub, None)),
        history.candles_request(candles_asked(venue)),
        catalogue.pairs_request(),
        catalogue.time_request(),
    ]
    for request in requests:
        assert request is not None
        assert request.weight < limits.weights[0].limit if limits.weights else request.weight == 1
    assert (limits.used_weight_header is None) == (not limits.weights)


@each_venue
def test_odd_names_cannot_change_what_is_asked(venue: Venue) -> None:
    asked = TradesAsked("Ü&x=1?/..#", None)
    candles = CandlesAsked(asked.sub, 60, START, START + 60_000_000)
    for request in (venue.provider.history.trades_request(asked), venue.provider.history.candles_request(candles)):
        assert request.path.isascii() and "x" not in query_of(request.path) and "#" not in request.path


@each_venue
def test_the_catalogue_names_pairs_both_ways_with_their_state_and_steps(venue: Venue) -> None:
    names, found = venue.provider.names, venue.provider.catalogue.read_pairs(answer(venue.pairs))
    assert isinstance(found, PairList)
    listed = {each.pair: each for each in found.markets}
    first = listed[venue.pair]
    assert names.sub_of(venue.pair) == venue.sub
    assert names.pair_of(venue.sub) in (venue.pair, None)
    assert (first.state, first.tick is not None, first.lot is not None) == (MarketState.TRADING, True, True)
    states = {each.state for each in found.markets}
    assert MarketState.HALTED in states and all(each.word for each in found.markets)
    assert all(each.state is not MarketState.DELISTED for each in found.markets if each.pair in found.pairs)
    assert found.unreadable == 2
    assert all(each.pair.exchange == venue.name for each in found.markets)


@each_venue
def test_the_clock_is_read(venue: Venue) -> None:
    catalogue = venue.provider.catalogue
    request = catalogue.time_request()
    assert request is not None and request.path.startswith("/")
    found = catalogue.read_time(answer(venue.time))
    assert isinstance(found, ProviderTime)
    assert found.at % found.step == 0 and found.at > 1_400_000_000_000_000
    assert isinstance(catalogue.read_time(answer("{}")), Unavailable)


def readings(venue: Venue, given: Answer) -> list[Any]:
    """Return what each reader of an answer makes of this one."""
    provider, trades = venue.provider, TradesAsked(venue.sub, None)
    return [
        provider.history.read_trades(trades, None, given),
        provider.history.read_candles(candles_asked(venue), given),
        provider.catalogue.read_pairs(given),
        provider.catalogue.read_time(given),
    ]


@each_venue
@given(
    status=st.sampled_from([200, 200, 204, 301, 400, 401, 403, 404, 418, 429, 451, 500, 503, 520]),
    body=st.binary(max_size=40) | anything.map(lambda found: json.dumps(found).encode()),
    headers=st.dictionaries(st.sampled_from(["Date", "Retry-After", "Age"]), st.text(max_size=12)),
)
def test_no_answer_makes_it_raise_and_none_but_200_is_data(
    venue: Venue, status: int, body: bytes, headers: dict[str, str]
) -> None:
    for found in readings(venue, Answer(status, headers, body)):
        assert isinstance(found, TradePage | CandlePage | PairList | ProviderTime | Trouble)
        assert isinstance(found, TROUBLES) or status == 200
        if isinstance(found, TROUBLES):
            assert found.reason.isprintable() and found.reason


@each_venue
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [(200, HTML, Unavailable), (502, HTML, Unavailable), (404, HTML, Unavailable), (520, b"", Unavailable),
     (408, b"{}", Unavailable),
     (403, HTML, Blocked), (451, b'{"code":0,"msg":"restricted location"}', Blocked), (401, b"{}", Unauthorized)],
)  # fmt: skip
def test_what_no_call_can_help_says_what_to_do(venue: Venue, status: int, body: bytes, expected: type) -> None:
    for found in readings(venue, answer(body, status)):
        assert type(found) is expected and isinstance(found, Unavailable | Blocked | Unauthorized)
        assert isinstance(found, Unavailable) or found.remedy


@each_venue
def test_a_limit_and_a_ban_say_how_long_to_wait(venue: Venue) -> None:
    slow = readings(venue, answer(b"", 429, **{"Retry-After": "7"}))
    banned = readings(venue, answer(b"", 418, **{"Retry-After": "600"}))
    assert {(type(each), each.retry_after, each.banned) for each in slow} == {(RateLimited, 7.0, False)}
    assert {(type(each), each.retry_after, each.banned) for each in banned} == {(RateLimited, 600.0, True)}
    assert all(each.remedy for each in banned)
    assert all(each.retry_after >= 1 for each in readings(venue, answer(b"", 429, **{"Retry-After": "soon"})))
    assert all(each.retry_after <= 259_200 for each in readings(venue, answer(b"", 418, **{"Retry-After": "9" * 9})))


@each_venue
def test_a_market_that_is_not_there_is_refused_with_the_venues_words(venue: Venue) -> None:
    for status, body in venue.refusals:
        found = venue.provider.history.read_trades(TradesAsked("FAKE", None), None, answer(body, status))
        assert isinstance(found, Refused) and found.reason
