"""The judge itself: it must be silent on a sound record and name each way in which one can be false."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.support.chaos.verify import (
    MINUTE,
    SECOND,
    Bar,
    Evidence,
    Segment,
    Span,
    Trade,
    broken,
    faults,
    holes,
    read_log,
    roll_up,
    sent_trade,
)

MARKET = "coinbase:BTC-USD"
LOOKED_AT = Span(0, 8 * MINUTE)
# One socket over the first half, one over the second; nothing was sent from 3:10 to 4:40.
FIRST, SECOND_ONE = (1, -MINUTE, 190 * SECOND), (2, 280 * SECOND, 500 * SECOND)
HOLE = Span(3 * MINUTE, 5 * MINUTE)


def trade_at(second: float) -> Trade:
    number = round(second * 10)
    return Trade(round(second * SECOND), f"t{number}", Decimal(100 + number % 11), Decimal("0.5"), number)


def line(event: str, at: int, **fields: object) -> str:
    return json.dumps({"event": event, "at": at * 1000, **fields})


def trade_line(trade: Trade, socket: int) -> str:
    fields = {"id": trade.id, "ccseq": trade.seq, "price": str(trade.price), "amount": str(trade.amount)}
    return line("trade", trade.ts + 100_000, socket=socket, market=MARKET, ts=trade.ts * 1000, **fields)


def log_of(trades: list[Trade]) -> list[str]:
    lines = [line("started", -2 * MINUTE)]
    for number, subscribed, last in (FIRST, SECOND_ONE):
        lines.append(line("opened", subscribed - SECOND, socket=number))
        lines.append(line("subscribed", subscribed, socket=number, market=MARKET))
        lines += [trade_line(trade, number) for trade in trades if subscribed <= trade.ts < last]
        if number == 1:
            lines.append(line("closed", last, socket=number, last_frame=last * 1000))
    return lines


def sound() -> Evidence:
    """Build a record without fault: a trade every 4 s, two sockets, the hole between them claimed as one."""
    made = [trade_at(second) for second in range(0, 480, 4) if not 360 <= second < 420]
    sent = [trade for trade in made if not 190 <= trade.ts / SECOND < 280]
    by_minute = {
        at: roll_up(trade for trade in sent if at <= trade.ts < at + MINUTE) for at in range(0, 480 * SECOND, MINUTE)
    }
    return Evidence(
        market=MARKET,
        looked_at=LOOKED_AT,
        made=made,
        stored=sent,
        candles={at: bar for at, bar in by_minute.items() if bar},
        segments=[
            Segment(0, 3 * MINUTE, "live"),
            Segment(3 * MINUTE, 4 * MINUTE, "partial"),
            Segment(4 * MINUTE, 5 * MINUTE, "gap"),
            Segment(5 * MINUTE, 8 * MINUTE, "live"),
        ],
        live_spans=[Span(-MINUTE, 184 * SECOND), Span(281 * SECOND, 500 * SECOND)],
        log=read_log(log_of(made)),
        grace=5 * SECOND,
        slack=2 * SECOND,
    )


def lose_a_live_trade(evidence: Evidence) -> Evidence:
    return replace(evidence, stored=[trade for trade in evidence.stored if trade.ts != 40 * SECOND])


def lose_a_trade_that_was_never_sent(evidence: Evidence) -> Evidence:
    extra = replace(evidence, segments=[Segment(0, 8 * MINUTE, "live")])
    return replace(extra, candles={at: bar for at in extra.candles if (bar := roll_up_made(evidence, at))})


def roll_up_made(evidence: Evidence, at: int) -> Bar | None:
    return roll_up(trade for trade in evidence.made if at <= trade.ts < at + MINUTE)


def lose_a_trade_behind_a_partial_bucket(evidence: Evidence) -> Evidence:
    return replace(evidence, stored=[trade for trade in evidence.stored if trade.ts != 180 * SECOND])


def store_one_twice(evidence: Evidence) -> Evidence:
    again = evidence.stored[0]._replace(ts=evidence.stored[0].ts + 1)
    return replace(evidence, stored=[*evidence.stored, again])


def invent_one(evidence: Evidence) -> Evidence:
    return replace(evidence, stored=[*evidence.stored, trade_at(400.5)])


def change_an_amount(evidence: Evidence) -> Evidence:
    first, *rest = evidence.stored
    return replace(evidence, stored=[first._replace(amount=Decimal("0.50000001")), *rest])


def round_a_volume(evidence: Evidence) -> Evidence:
    bar = evidence.candles[MINUTE]
    return replace(evidence, candles={**evidence.candles, MINUTE: bar._replace(volume=bar.volume + Decimal("1e-18"))})


def swap_open_and_close(evidence: Evidence) -> Evidence:
    bar = evidence.candles[0]
    return replace(evidence, candles={**evidence.candles, 0: bar._replace(open=bar.close, close=bar.open)})


def leave_a_candle_out(evidence: Evidence) -> Evidence:
    return replace(evidence, candles={at: bar for at, bar in evidence.candles.items() if at != MINUTE})


def fill_a_quiet_minute(evidence: Evidence) -> Evidence:
    return replace(evidence, candles={**evidence.candles, 6 * MINUTE: evidence.candles[MINUTE]})


def hold_a_sound_minute_back(evidence: Evidence) -> Evidence:
    early = [
        Segment(0, MINUTE, "live"),
        Segment(MINUTE, 2 * MINUTE, "partial"),
        Segment(2 * MINUTE, 3 * MINUTE, "live"),
    ]
    return replace(evidence, segments=[*early, *evidence.segments[1:]])


def end_a_span_early(evidence: Evidence) -> Evidence:
    return replace(evidence, live_spans=[Span(-MINUTE, 182 * SECOND), evidence.live_spans[1]])


def begin_a_span_late(evidence: Evidence) -> Evidence:
    return replace(evidence, live_spans=[evidence.live_spans[0], Span(283 * SECOND, 500 * SECOND)])


def leave_a_segment_out(evidence: Evidence) -> Evidence:
    return replace(evidence, segments=[evidence.segments[0], *evidence.segments[2:]])


def overlap_two_segments(evidence: Evidence) -> Evidence:
    return replace(
        evidence, segments=[*evidence.segments[:2], Segment(3 * MINUTE, 5 * MINUTE, "gap"), evidence.segments[3]]
    )


def cut_the_certificate_short(evidence: Evidence) -> Evidence:
    return replace(evidence, looked_at=Span(0, 9 * MINUTE))


def doubt_the_yardstick(evidence: Evidence) -> Evidence:
    return replace(evidence, made=[trade for trade in evidence.made if trade.ts != 8 * SECOND])


def test_a_sound_record_has_no_faults() -> None:
    assert faults(sound()) == []


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lose_a_live_trade, "1 missing in a live segment"),
        (lose_a_trade_that_was_never_sent, "missing in a live segment"),
        (lose_a_trade_behind_a_partial_bucket, "1 missing in a span proven live"),
        (store_one_twice, "1 stored twice"),
        (invent_one, "1 stored but never sent"),
        (change_an_amount, "1 stored with other numbers than sent"),
        (round_a_volume, "1 live but not exact"),
        (swap_open_and_close, "1 live but not exact"),
        (leave_a_candle_out, "1 live but not exact"),
        (fill_a_quiet_minute, "1 live but not exact"),
        (hold_a_sound_minute_back, "1 untouched but not live"),
        (end_a_span_early, "1 untouched but not covered"),
        (begin_a_span_late, "1 untouched but not covered"),
        (leave_a_segment_out, "does not follow"),
        (overlap_two_segments, "does not follow"),
        (cut_the_certificate_short, "the certificate ends at"),
        (doubt_the_yardstick, "1 sent but not made"),
    ],
)
def test_each_way_to_be_false_is_named(spoil: Callable[[Evidence], Evidence], named: str) -> None:
    assert any(f" {named}" in fault for fault in faults(spoil(sound())))


def test_a_hole_is_what_the_certificate_does_not_call_live() -> None:
    assert holes(sound()) == [HOLE]


def test_doubt_reaches_from_grace_before_the_last_frame_to_the_next_complete_subscription() -> None:
    assert broken(sound()) == [Span(183 * SECOND, 282 * SECOND)]


def test_a_killed_simulator_closes_no_socket_so_its_last_line_counts() -> None:
    lines = [text for text in log_of(list(sound().made)) if '"closed"' not in text]
    found = broken(replace(sound(), log=read_log(lines)))
    assert found == [Span(188 * SECOND + 100_000 - 7 * SECOND, 282 * SECOND)]


def test_a_socket_that_never_subscribed_to_the_market_leaves_the_doubt_open() -> None:
    lines = log_of(list(sound().made))
    extra = [line("opened", 200 * SECOND, socket=9), line("closed", 210 * SECOND, socket=9, last_frame=210 * 10**9)]
    at = next(index for index, text in enumerate(lines) if '"socket": 2' in text)
    found = broken(replace(sound(), log=read_log([*lines[:at], *extra, *lines[at:]])))
    assert found == [Span(183 * SECOND, 282 * SECOND)]


def test_a_garbage_frame_is_doubt_where_its_market_may_be_ours() -> None:
    lines = [*log_of(list(sound().made)), line("garbage", 450 * SECOND, socket=2, kind="text", market="x")]
    lines += [line("garbage", 460 * SECOND, socket=2, kind="price", market="kraken:BTC-EUR")]
    found = broken(replace(sound(), log=read_log(lines)))
    assert found[1:] == [Span(443 * SECOND, 452 * SECOND)]


def test_an_id_made_up_by_the_provider_gives_way_to_its_number() -> None:
    row = {"ts": 1_700_000_001_500_000_000, "ccseq": 77, "price": "1.2e-7", "amount": "3"}
    assert sent_trade(row | {"id": "170000000112"}).id == "ccseq:77"
    assert sent_trade(row | {"id": "900123"}).id == "900123"
    assert sent_trade(row | {"id": "900123"}).price == Decimal("0.00000012")


def test_ties_are_rolled_up_by_number_then_by_name() -> None:
    tied = [
        Trade(5, "b", Decimal(2), Decimal(1), 9),
        Trade(5, "a", Decimal(3), Decimal(1)),
        Trade(5, "z", Decimal(1), Decimal(1), 8),
    ]
    bar = roll_up(tied)
    assert bar
    assert (bar.open, bar.close, bar.trades) == (Decimal(1), Decimal(3), 3)
