"""Every topic's feed on its own is a correct feed, whatever came before, behind and between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datastore.timeframes.intervals import SECOND_US
from ingestion.live.topic_router import TopicRouter
from streaming.records import FeedClosed, FeedOpened, LiveRecord, Trade, Watermark, decode, encode
from tests.support.examples import examples
from tests.support.ingestion.router_scenario import CHANNELS, FIXED, SYMBOLS, RouterScenario, micros, spans_of

BTC = SYMBOLS["BTC"]
markets = st.sampled_from(["BTC", "BTC", "BTC", "ETH"])
TOPICS = [FIXED, "dyn-1"]
# What happens, and how likely: routes come and go among trades that are late, early, lost, or stamped far ahead.
KINDS = (
    [st.tuples(st.just("trade"), markets, st.integers(-900, 4000))] * 3  # ms before its discovery
    + [st.tuples(st.just("trade"), markets, st.integers(-9000, -901))] * 2
    + [st.tuples(st.just("bad"), markets, st.integers(0, 4000)), st.tuples(st.just("unreadable"), markets, st.just(0))]
    + [st.tuples(st.just("heartbeat"))] * 4
    + [st.tuples(st.just("complete"), markets)] * 2
    + [st.tuples(st.just("want"), markets, st.sampled_from(TOPICS))] * 4
    + [st.tuples(st.just("confirm")), st.tuples(st.just("reconnect"))]
)
steps = st.one_of(KINDS)
passing = st.sampled_from([0, 10, 400, 1000, 2500, 6000])  # ms between two steps
BEGUN = [(("want", "BTC", FIXED), 0), (("complete", "BTC"), 100), (("heartbeat",), 9000)]


def lived(story: list[tuple[tuple, int]]) -> RouterScenario:  # type: ignore[type-arg]  # a step's parts are its own
    """Return the scenario after these steps, each so many ms behind the one before."""
    scenario = RouterScenario()
    for (kind, *given_), passed in story:
        scenario.now += passed
        if kind == "trade":
            scenario.trade(*given_)
        elif kind in ("bad", "unreadable"):
            scenario.trade(*given_, lost=kind)
        else:
            getattr(scenario, kind)(*given_)
        scenario.publish()
    return scenario


@examples(300)
@given(st.lists(st.tuples(steps, passing), min_size=20, max_size=60))
def test_each_topic_claims_only_what_it_carried_in_a_feed_without_a_hole(story) -> None:  # type: ignore[no-untyped-def]
    scenario = lived(BEGUN + story)
    scenario.check()
    scenario.reconnect()
    scenario.check()


@examples(100)
@given(st.lists(st.tuples(steps.filter(lambda step: step[0] != "want"), passing), min_size=5, max_size=60))
def test_the_fixed_topic_gets_the_intakes_own_records_where_all_is_followed(story) -> None:  # type: ignore[no-untyped-def]
    scenario = lived([(("want", market, FIXED), 0) for market in CHANNELS] + story)
    assert scenario.published[FIXED] == scenario.made
    trades = [pair for pair in zip(scenario.published[FIXED], scenario.made, strict=True) if type(pair[0]) is Trade]
    assert all(ours is theirs for ours, theirs in trades)  # not even a copy


def live(*wanted: tuple[str, str]) -> RouterScenario:
    """Return a scenario whose wanted markets stand and are proven up to second 15."""
    scenario = RouterScenario()
    scenario.wanted = set(wanted)
    scenario.follow()
    scenario.now = 1000
    for market in CHANNELS:
        scenario.complete(market)
    told(scenario, 20)
    return scenario


def told(scenario: RouterScenario, second: float) -> None:
    """Let time pass, the provider tell it, and all be published."""
    scenario.now = int(second * 1000)
    scenario.heartbeat()
    scenario.publish()


def after(moment: int | None) -> float:
    assert moment is not None
    return (moment - micros(0)) / SECOND_US


def kinds(records: list[LiveRecord]) -> list[type]:
    return [type(record) for record in records]


def test_a_route_on_an_open_subscription_opens_its_own_feed_and_claims_from_then_on() -> None:
    scenario = live(("BTC", FIXED))
    scenario.want("BTC", "dyn-1")
    scenario.now = 21_000
    scenario.trade("BTC", 0)
    told(scenario, 50)
    opened, trade, mark = scenario.published["dyn-1"]
    assert isinstance(opened, FeedOpened) and isinstance(trade, Trade) and isinstance(mark, Watermark)
    assert (opened.feed, after(opened.start), opened.connected, opened.replayed) == ("dyn-1/c1", 21, opened.start, ())
    assert (mark.start, after(mark.until)) == (opened.start, 45)
    assert [record.n for record in scenario.published["dyn-1"]] == [1, 2, 3]


def test_a_claim_that_ends_before_the_route_began_says_nothing_there() -> None:
    scenario = live(("BTC", FIXED))
    scenario.want("BTC", "dyn-1")
    told(scenario, 25)  # proves up to 20; the route begins at 21
    assert kinds(scenario.published["dyn-1"]) == [FeedOpened]
    assert after(spans_of(scenario.published[FIXED])[0].stop) == 20


def test_a_trade_that_came_before_the_route_lies_before_its_claims_though_its_stamp_runs_ahead() -> None:
    scenario = live(("BTC", FIXED))
    scenario.trade("BTC", -7000)  # stamped 27
    scenario.want("BTC", "dyn-1")
    scenario.publish()
    (opened,) = scenario.published["dyn-1"]
    assert isinstance(opened, FeedOpened) and after(opened.start) > 27


def test_a_market_that_is_only_routed_leaves_no_trace_on_the_fixed_topic() -> None:
    scenario = RouterScenario()
    scenario.trade("BTC", 0)
    scenario.want("BTC", "dyn-1")
    scenario.now = 1000
    scenario.complete("BTC")
    told(scenario, 20)
    assert FIXED not in scenario.published
    replayed, opened, mark = scenario.published["dyn-1"]
    assert isinstance(replayed, Trade) and isinstance(opened, FeedOpened) and isinstance(mark, Watermark)
    assert [item.id for item in opened.replayed] == [replayed.id]
    assert (after(opened.connected), after(opened.start), after(mark.until)) == (0, 2, 15)


def test_a_routed_market_that_is_followed_begins_its_fixed_feed_there_and_cuts_no_hole_into_the_route() -> None:
    scenario = live(("BTC", "dyn-1"))
    scenario.want("BTC", FIXED)
    told(scenario, 50)
    assert kinds(scenario.published[FIXED]) == [FeedOpened, Watermark]
    assert [(after(span.start), after(span.stop)) for span in spans_of(scenario.published[FIXED])] == [(21, 45)]
    assert [(after(span.start), after(span.stop)) for span in spans_of(scenario.published["dyn-1"])] == [(2, 45)]


def test_a_followed_market_that_is_only_routed_now_ends_its_fixed_feed_and_the_route_goes_on() -> None:
    scenario = live(("BTC", FIXED), ("BTC", "dyn-1"))
    scenario.want("BTC", FIXED)
    told(scenario, 50)
    last = scenario.published[FIXED][-1]
    assert isinstance(last, FeedClosed) and after(last.stop) == 15
    assert after(spans_of(scenario.published["dyn-1"])[0].stop) == 45
    assert FeedClosed not in kinds(scenario.published["dyn-1"])


def test_a_market_that_is_followed_again_goes_on_counting() -> None:
    scenario = live(("BTC", FIXED), ("BTC", "dyn-1"))
    scenario.want("BTC", FIXED)
    scenario.want("BTC", FIXED)
    told(scenario, 50)
    (records,) = [records for (_, feed), records in scenario.feeds().items() if feed == f"{FIXED}/c1"]
    assert [record.n for record in records] == list(range(1, 6))
    assert kinds(records) == [FeedOpened, Watermark, FeedClosed, FeedOpened, Watermark]


def test_a_refused_trade_ends_the_span_of_every_route_of_its_market() -> None:
    scenario = live(("BTC", FIXED), ("BTC", "dyn-1"), ("ETH", "dyn-2"))
    scenario.trade("BTC", 0, lost="bad")
    scenario.publish()
    assert kinds(scenario.published[FIXED])[-1] == kinds(scenario.published["dyn-1"])[-1] == FeedClosed
    assert FeedClosed not in kinds(scenario.published["dyn-2"])
    scenario.want("BTC", "dyn-1")
    scenario.publish()
    assert kinds(scenario.published["dyn-1"]).count(FeedClosed) == 1, "an end is notified once"


def test_a_route_that_begins_while_no_span_is_open_claims_nothing_that_was_lost() -> None:
    scenario = live(("BTC", FIXED))
    scenario.trade("BTC", 0, lost="bad")
    scenario.want("BTC", "dyn-1")
    scenario.now = 23_000
    scenario.trade("BTC", 0, lost="bad")  # no span is open, so no end is notified; the route's start must not cover it
    for second in (24, 40, 60):
        told(scenario, second)
    scenario.check()
    (span,) = spans_of(scenario.published["dyn-1"])
    assert (after(span.start), after(span.stop)) == (24, 55)


def test_after_a_reconnect_every_route_opens_a_feed_of_the_new_connection() -> None:
    scenario = live(("BTC", FIXED), ("BTC", "dyn-1"))
    scenario.reconnect()
    scenario.complete("BTC")
    told(scenario, 60)
    assert {feed for _, feed in scenario.feeds()} == {f"{FIXED}/c1", f"{FIXED}/c2", "dyn-1/c1", "dyn-1/c2"}
    for records in scenario.feeds().values():
        assert [record.n for record in records] == list(range(1, len(records) + 1))


def test_the_end_of_a_span_can_be_read_however_long_the_provider_s_reason_is() -> None:
    router = TopicRouter("c1")
    router.begin(BTC, FIXED, micros(0))
    router.end(BTC, FIXED, "INVALID_SUB " * 30)
    opened, closed = [decode(encode(record)) for record in router.drain()[FIXED]]
    assert isinstance(opened, FeedOpened) and isinstance(closed, FeedClosed)
