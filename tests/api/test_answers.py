from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.api.responses.json_response import json_answer, pack, unpack

Parts = tuple[str, int, int | None]


@given(st.text(max_size=50), st.integers(-(2**63), 2**63 - 1), st.none() | st.integers(0, 2**63 - 1))
def test_a_cursor_gives_its_parts_back_and_needs_no_escaping(series: str, version: int, watermark: int | None) -> None:
    packed = pack(series, version, watermark)
    assert unpack(packed, Parts) == (series, version, watermark)
    assert all(char.isascii() and (char.isalnum() or char in "-_") for char in packed)


@given(st.text(max_size=60))
def test_text_that_is_no_cursor_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a cursor"):
        unpack(text, Parts)


def test_a_cursor_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a cursor"):
        unpack(pack("series", "version", None), Parts)


def test_an_answer_is_json_that_must_be_asked_for_again() -> None:
    answer = json_answer({"from": 1, "rows": [["0.10", None]]}, {"X-More": "1"})
    assert json.loads(answer.content) == {"from": 1, "rows": [["0.10", None]]}
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-cache"
    assert answer["X-More"] == "1"
