"""What may go wrong when Candlekeep is asked.

CandlekeepError
    Unreachable         nothing answers
    Refused             it answers that it cannot or will not: status, sentence, and the parameters that are wrong
        UnknownMarket   404, with similar names in its sentence
        AccessDenied    401 or 403: the key is missing, unknown or may not
    GapsFound           the range has gaps; the candles are attached
    StillFetching       the provider is still being asked, and there is no candle yet
    MissingExtra        a library that is not installed, with the extra that brings it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from candlekeep_client.candles import Candles
    from candlekeep_client.certificate import Segment

MAX_GAPS_NAMED = 5
PASSING = frozenset({408, 429})  # and all from 500 on: the same question may be answered later


class CandlekeepError(Exception):
    """The common root."""


class Unreachable(CandlekeepError):
    """No answer came: the message says what happened to the connection."""

    retry_after: float | None = None  # seconds
    passes = True


class Refused(CandlekeepError):
    """Candlekeep answered with an error; errors: sentences by parameter."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Mapping[str, Sequence[str]] | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status, self.detail, self.retry_after = status, detail, retry_after
        self.errors = {name: tuple(sentences) for name, sentences in (errors or {}).items()}
        named = "".join(f" {name}: {' '.join(sentences)}" for name, sentences in self.errors.items())
        super().__init__(f"{status}: {detail}{named}")

    @property
    def passes(self) -> bool:
        """Return whether the same question may be answered later."""
        return self.status >= 500 or self.status in PASSING


class UnknownMarket(Refused):
    """No provider lists this market; the sentence has similar names."""


class AccessDenied(Refused):
    """The key is missing, unknown, revoked, or may not do this."""


class GapsFound(CandlekeepError):
    """The range has gaps. `gaps` are its segments without proof, `candles` is what there is all the same."""

    def __init__(self, gaps: Sequence[Segment], candles: Candles) -> None:
        self.gaps, self.candles = tuple(gaps), candles
        named = "; ".join(map(str, self.gaps[:MAX_GAPS_NAMED]))
        more = f"; and {len(gaps) - MAX_GAPS_NAMED} more" if len(gaps) > MAX_GAPS_NAMED else ""
        count = "a gap" if len(gaps) == 1 else f"{len(gaps)} gaps"
        which = f"{candles.certificate.market} {candles.certificate.timeframe}"
        super().__init__(f'{which} has {count}: {named}{more}. gaps="allow" returns what there is.')


class StillFetching(CandlekeepError):
    """Nothing is stored yet, and the provider is still being asked; request: how far that is, as the API shows it."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.request = dict(request)
        done, total, error = (request.get(name) for name in ("pages_done", "pages_total", "error"))
        super().__init__(
            f"Still being fetched: {done} of {'?' if total is None else total} pages{f' ({error})' if error else ''}. "
            "Ask again, or with more patience."
        )


class MissingExtra(CandlekeepError, ImportError):
    """A library that is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed: pip install 'candlekeep-client[{extra}]'")


def refusal_of(status: int, body: Any, retry_after: str | None) -> Refused:
    """Return the error that an answer means; body: its JSON, or its text where it is none."""
    problem: dict[str, Any] = body if isinstance(body, dict) else {"detail": str(body)[:200]}
    kind = {401: AccessDenied, 403: AccessDenied, 404: UnknownMarket}.get(status, Refused)
    # A date, which Retry-After may be too, is nothing that Candlekeep sends.
    wait = float(retry_after) if retry_after and retry_after.isdigit() else None
    return kind(status, str(problem.get("detail") or problem.get("title") or ""), problem.get("errors"), wait)
