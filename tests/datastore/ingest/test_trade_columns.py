from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from datastore.ingest.trade_columns import all_valid, fault_of
from streaming.records import Trade
from tests.support.datastore.records import BTC, FEED, NOON

numbers = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True),
    st.sampled_from([Decimal(text) for text in ("0", "-0", "1e-24", "1.1e-24", "1e24", "9e23", "-1", "sNaN")]),
    st.decimals("0.01", "1000", places=2),
)
whole = st.one_of(st.just(NOON), st.sampled_from([0, 1, 4_102_444_800_000_000, -1]), st.integers())
trades = st.lists(
    st.builds(
        Trade,
        market=st.just(BTC),
        feed=st.just(FEED),
        n=st.just(1),
        ts=whole,
        received_at=st.one_of(st.just(NOON), whole),
        seq=st.one_of(st.none(), st.sampled_from([2**63, 2**63 - 1, -(2**63), -(2**63) - 1])),
        id=st.sampled_from(["1", "a", "a\0"]),
        price=numbers,
        amount=numbers,
    ),
    max_size=3,
)


@given(trades=trades)
def test_a_batch_is_sound_where_every_trade_is(trades: list[Trade]) -> None:
    assert all_valid(trades) == (not any(fault_of(trade) for trade in trades))
