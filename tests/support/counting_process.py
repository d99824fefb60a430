"""Processes that count into shared metric files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNT = """
import sys
from pathlib import Path
from metering.sharing import share_counters
print(share_counters(Path(sys.argv[1])), flush=True)
from metering.table import TRADES_STORED, BATCH_RECORDS
TRADES_STORED.labels("coinbase:BTC-USD").inc(int(sys.argv[2]))
BATCH_RECORDS.labels("tick-data").observe(7)
print("counted", flush=True)
sys.stdin.read()
"""


def process(folder: Path, count: int, code: str = COUNT) -> subprocess.Popen[str]:
    """Start a process that counts, and wait until it has."""
    command = [sys.executable, "-c", code, str(folder), str(count)]
    started = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return started


def said(started: subprocess.Popen[str]) -> list[str]:
    assert started.stdout
    return [started.stdout.readline().strip(), started.stdout.readline().strip()]


def finish(*started: subprocess.Popen[str]) -> None:
    for one in started:
        one.communicate(timeout=20)
