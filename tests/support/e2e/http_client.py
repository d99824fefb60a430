"""One who wants many days of minutes that nobody has asked for before."""

from __future__ import annotations

from typing import Any

from tests.support.e2e.platform import Platform
from tests.support.e2e.provider import PAGE, Call, calls, theirs
from tests.support.e2e.series import expect_contiguous, expect_same, keep

KEPT, FIRST, SECOND, THIRD = "coinbase:BTC-USD", "coinbase:SOL-USD", "kraken:LTC-USD", "gemini:XRP-USD"
UNSEEN, DAYLESS, OLD = "coinbase:ETH-USD", "bitstamp:LTC-USD", "coinbase:LTC-USD"
LISTED = (FIRST, SECOND, THIRD, UNSEEN, DAYLESS, OLD)  # beside those that are followed from the start
MINUTE, DAY = 60, 86_400
YEAR_DAYS = 364
RETENTION_DAYS = 365
# A provider that lets itself be asked often, and one that keeps a year of minutes too.
WILLING = {"PROVIDER_CALLS_PER_SECOND": "12", "PROVIDER_CALLS_PER_MINUTE": "720"}
LONG_MEMORY = {
    "MARKETS": KEPT,
    "SIMULATOR_ARGS": f"--retention-days {RETENTION_DAYS} --listed {FIRST},{SECOND},{THIRD}",
    **WILLING,
}


class HistoryClient:
    """One who wants the minutes of so many days, by default a year, and asks again and again."""

    def __init__(self, platform: Platform, market: str, days: int = YEAR_DAYS) -> None:
        """Choose days that ended a while ago, so that all of them is final."""
        keep(platform, market)
        stop = int(platform.provider_now() - 3600) // MINUTE * MINUTE
        self.platform, self.market, self.start, self.stop = platform, market, stop - days * DAY, stop
        self.minutes = days * DAY // MINUTE
        self.page_count = -(-self.minutes // PAGE)
        self.seen: list[tuple[int, bool | None, int | None]] = []  # status, complete, pages done

    def ask(self, **span: int) -> tuple[int, dict[str, Any]]:
        """Ask for the first minutes of all of it, or of the part that is named."""
        status, body = self._answer("1m", span)
        self.seen.append((status, body.get("complete"), (body.get("request") or {}).get("pages_done")))
        return status, body

    def part(self) -> dict[str, Any] | None:
        """Return the answer in five minutes, which holds five times as many days, once there is a candle to show."""
        status, body = self._answer("5m", {})
        return body if status == 200 else None

    def _answer(self, timeframe: str, span: dict[str, int]) -> tuple[int, dict[str, Any]]:
        asked = {"from": self.start * 1000, "to": self.stop * 1000, **span}
        answer = self.platform.api("candles", market=self.market, timeframe=timeframe, **asked, wait=0, limit=10_000)
        return answer.status_code, dict(answer.json())

    def pages_done(self) -> int:
        """Return how many pages are acknowledged."""
        return int(self.ask()[1]["request"]["pages_done"])

    def is_over(self) -> bool:
        """Return whether the first page of candles is whole, which comes last."""
        status, body = self.ask()
        return status == 200 and body["complete"] and body["request"] is None

    def pages(self) -> list[Call]:
        """Return the calls that asked for a part of it."""
        return [call for call in calls(self.platform, self.market) if self.start <= int(call.last) < self.stop]

    def expect_whole(self) -> None:
        """Follow the answer's pages to their end: contiguous, complete, and each row the provider's own."""
        span, rows = {"from": self.start * 1000}, 0
        while span["from"] < self.stop * 1000:
            status, body = self.ask(**span)
            assert (status, body["complete"]) == (200, True), body["coverage"]
            expect_contiguous(body)
            assert {part["state"] for part in body["coverage"]} == {"provider"}
            rows += len(body["candles"]) + sum(part["quiet"] for part in body["coverage"])
            span = {"from": body["coverage"][-1]["to"]}
        assert rows == self.minutes
        self.expect_same_as_provider(self.start + self.minutes // 3 * MINUTE)

    def expect_same_as_provider(self, first: int) -> None:
        """Compare an hour with the provider's."""
        first = first // MINUTE * MINUTE
        _, body = self.ask(**{"from": first * 1000, "to": (first + 3600) * 1000})
        expected = theirs(self.platform, self.market, "minute", first, first + 3540)
        for row in body["candles"]:
            expect_same(row, expected[row[0] // 1000])
        assert len(body["candles"]) == len(expected)
