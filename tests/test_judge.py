"""The judge of the chaos tests excuses a false claim only while nothing could show that a trade was lost."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.trades import SECOND_NS, Trade
from tests.support.chaos.judge import Claims, Losses
from tests.support.chaos.truth import Made, Truth

MARKET = "coinbase:BTC-USD"
START = 1_795_957_800  # a minute of the simulator's
END = START + 60
SHOWN = END + 14.08  # when the next number was sent
TRUTH = Truth(2)
NAMES = ["time", *Made._fields, "trades"]


def trades_of(start: int) -> list[Trade]:
    return TRUTH.trades(MARKET, "1m", start * 1000)


LAST = [trade.id for trade in trades_of(START)[-2:]]


def losses(shown: float | None = SHOWN, ids: list[str] = LAST) -> Losses:
    """The last trades of the minute are lost; the next minute's first trade is sent then."""
    before, after = trades_of(START)[-3], trades_of(END)[0]
    log: list[dict[str, Any]] = [
        {"event": "lost", "market": MARKET, "ids": ids},
        sent(before, END + 1.0),  # queued before the loss, logged behind it
        {"event": "heartbeat", "at": (END + 5) * SECOND_NS},
    ]
    return Losses(log if shown is None else [*log, sent(after, shown)])


def sent(trade: Trade, at: float) -> dict[str, Any]:
    return {"event": "trade", "market": MARKET, "ccseq": trade.ccseq, "at": int(at * SECOND_NS)}


def answer(watermark: float, lacking: list[str] = LAST, state: str = "live") -> dict[str, Any]:
    """An answer that calls the minute proven without some of its trades."""
    made = TRUTH.made(MARKET, "1m", START * 1000, frozenset(lacking))
    assert made is not None
    return {
        "watermark": int(watermark * 1000),
        "columns": NAMES,
        "candles": [[START * 1000, *(str(value) for value in made), 70]],
        "coverage": [{"from": START * 1000, "to": END * 1000, "state": state}],
    }


def false(losses: Losses | None, *answers: dict[str, Any]) -> int:
    claims = Claims()
    for body in answers:
        claims.note(MARKET, "1m", body, SHOWN)
    return len(claims.false(TRUTH, losses))


def test_a_candle_without_a_lost_trade_may_be_claimed_until_the_next_number_is_sent() -> None:
    early = answer(END + 0.23)
    assert false(losses(), early) == 0
    assert false(None, early) == 1


@pytest.mark.parametrize("watermark", [SHOWN, SHOWN + 30])
def test_it_is_false_once_the_watermark_has_reached_that_number_whatever_was_answered_before(watermark: float) -> None:
    assert false(losses(), answer(END + 0.23), answer(watermark)) == 1
    assert false(losses(), answer(watermark), answer(END + 0.23)) == 1


def test_what_lacks_another_trade_too_is_false() -> None:
    third = trades_of(START)[-3].id
    assert false(losses(), answer(END + 0.23, lacking=[third, *LAST])) == 1
    assert false(losses(ids=[]), answer(END + 0.23)) == 1


def test_what_the_provider_was_asked_for_is_false_without_the_trade() -> None:
    assert false(losses(), answer(END + 0.23, state="provider")) == 1


def test_a_true_candle_is_true_whatever_was_lost() -> None:
    assert false(losses(), answer(SHOWN + 30, lacking=[])) == 0
    assert false(losses(shown=None), answer(END + 0.23)) == 0


def test_of_two_losses_the_one_that_was_shown_is_not_excused_with_the_other() -> None:
    first, second = LAST[0], trades_of(END)[0].id
    both = Losses(
        [
            {"event": "lost", "market": MARKET, "ids": [first]},
            sent(trades_of(START)[-1], END + 0.1),
            {"event": "lost", "market": MARKET, "ids": [second]},
            sent(trades_of(END)[1], END + 9.0),
        ]
    )
    assert false(both, answer(END + 1.0, lacking=[first])) == 1
    assert false(both, answer(END, lacking=[first])) == 0


def test_the_trade_itself_shows_it_when_it_is_replayed() -> None:
    last = trades_of(START)[-1]
    log = [{"event": "lost", "market": MARKET, "ids": LAST}, sent(last, END + 3.0) | {"replayed": True}]
    assert false(Losses(log), answer(END + 0.23), answer(END + 2.9)) == 0
    assert false(Losses(log), answer(END + 3.1)) == 1
