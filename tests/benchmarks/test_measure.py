"""What `make measure` counts, on a made-up module and on this checkout."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django_redis import get_redis_connection

from benchmarks import stations
from benchmarks.measure import ROOT, Function, functions_of, measure, p90, report, work_list

MODULE = '''
class Book:
    @property
    def best(self) -> int:
        """Return the best price.

        The docstring counts.
        """
        return self._once() + self._twice() + self._twice()

    def __len__(self) -> int:
        return 1

    def _once(self) -> int:
        def inner() -> int:
            return 1

        return inner()

    def _twice(self) -> int:
        return _handed_on(key=_given)


def _given() -> int: return 1


async def _never() -> int:
    return 1  # "_never" in a comment or a text is no call


_assigned = 3
'''


@pytest.fixture
def found() -> dict[str, Function]:
    return {function.name: function for function in functions_of(MODULE, "book.py")}


def test_every_function_is_found_with_its_line_methods_and_inner_ones_too(found: dict[str, Function]) -> None:
    assert list(found) == ["best", "__len__", "_once", "inner", "_twice", "_given", "_never"]
    assert str(found["best"]) == "book.py:4 best (6 lines)"


def test_a_function_is_as_long_as_from_its_def_to_its_end(found: dict[str, Function]) -> None:
    lengths = {name: function.length for name, function in found.items()}
    assert lengths == {"best": 6, "__len__": 2, "_once": 5, "inner": 2, "_twice": 2, "_given": 1, "_never": 2}


def test_private_is_what_begins_with_one_underscore(found: dict[str, Function]) -> None:
    assert [name for name, function in found.items() if function.is_private] == ["_once", "_twice", "_given", "_never"]


def test_a_single_caller_reads_the_name_once_even_if_only_to_pass_it_on(found: dict[str, Function]) -> None:
    assert [name for name, function in found.items() if function.has_single_caller] == ["_once", "_given"]


def test_what_python_needs_as_a_function_could_not_stand_where_it_is_called() -> None:
    source = """
def _plain(): return 1
def _handed_on(): return 1
def _per_element(): return 1
def _yields(): yield 1
@cache
def _decorated(): return 1
async def _task(): return 1
def _twice_defined(): return 1
if windows:
    def _twice_defined(): return 2
def caller():
    create_task(_task())
    return _plain() + _yields() + _decorated() + _twice_defined() + [_per_element() for _ in x] + f(_handed_on)
"""
    assert [function.name for function in functions_of(source, "book.py") if not function.is_needed] == ["_plain"]


@pytest.mark.parametrize(("lengths", "expected"), [([7], 7), (range(1, 11), 9), (range(1, 12), 10), ([5, 1, 9], 9)])
def test_nine_in_ten_are_no_longer_than_p90(lengths: list[int], expected: int) -> None:
    assert p90(lengths) == expected


def test_a_checkout_is_measured_without_its_migrations_and_tests(tmp_path: Path) -> None:
    for file, text in {
        "streaming/book.py": MODULE,
        "streaming/migrations/0001_initial.py": MODULE,
        "actors/long.py": "x = 1\n" * 301,
        "tests/test_book.py": MODULE,
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    measured = measure(tmp_path)
    assert set(measured.files) == {"streaming/book.py", "actors/long.py"}
    assert measured.long_files == {"actors/long.py": 301}
    text = "\n".join([*report(measured), *work_list(measured)])
    assert "7 in 2 files" in text
    assert "2, 28.6% of all functions" in text
    assert "could stand there    1, 14.3%" in text
    assert text.endswith("streaming/book.py:14 _once (5 lines)\nstreaming/book.py:24 _given (1 line) as a function")


@pytest.mark.slow
def test_the_static_part_needs_no_servers() -> None:
    command = [sys.executable, "-m", "benchmarks.measure", "--static"]
    done = subprocess.run(command, cwd=ROOT, env={}, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("functions ")
    assert "GET candles" not in done.stdout


@pytest.mark.slow
def test_a_folder_without_the_product_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.measure", "--repo", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "none of the product's packages" in done.stderr


def test_a_trace_names_each_product_function_once_in_order() -> None:
    from metering import table

    def call() -> None:
        table.count_answer("database")
        table.count_answer("database")
        [str(number) for number in range(3)]

    before = sys.getprofile()
    (station,) = stations.trace(call)
    assert station.name == "count_answer"
    assert str(station).startswith("metering/table.py:")
    assert sys.getprofile() is before


@pytest.fixture
def empty_cache(db: None) -> Iterator[None]:
    store = get_redis_connection("default")
    store.flushdb()
    yield
    store.flushdb()


def test_candles_are_traced_cold_and_hot(empty_cache: None) -> None:
    found = stations.of_candles()
    cold, hot = found["cold"], found["hot"]
    assert len(hot) < len(cold)
    assert len(cold) == len(set(cold))
    assert {stations.BEGIN} <= {station.name for station in cold} & {station.name for station in hot}
    lines = list(stations.report(found, listed=True))
    assert len(lines) == 2 + len(cold) + len(hot)
