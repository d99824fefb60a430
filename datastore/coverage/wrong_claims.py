"""Claims that are taken back because the provider's time, by which they were made, was wrong.

Claims follow the stamps of the provider. If these were ahead of the true time, feeds claim what has not happened yet,
and whatever is lost before it happens would never be missed. So when the time goes back, the claims go back to the
last instant at which it was certain. The work is done in SQL (sql/functions/wrong_claims.sql).
"""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction

from datastore.db.queries import fetch_all, fetch_value
from datastore.db.sql_files import statement
from datastore.models import Market
from datastore.reference.staleness import stale_after
from metering.table import CLAIMS_OF_WRONG_TIME
from streaming.ends import EndCode

WRONG_TIME = "the provider's time was found to be wrong"
log = structlog.get_logger(__name__)


def take_back_since(certain: datetime | None, provider: str | None = None) -> list[int]:
    """Take back all live claims after an instant; None: those of the future. Return the ids of markets that changed.

    provider: whose markets; None: of all.
    """
    found = fetch_all(statement("wrong_claims", "false_claims"), {"certain": certain, "provider": provider})
    return [pk for (pk,) in found if _take_back(pk, certain)]


def take_back_future() -> list[int]:
    """Take back the live claims that reach beyond the provider's time; return the ids of markets that changed."""
    return take_back_since(None)


def _take_back(market_id: int, certain: datetime | None) -> bool:
    with transaction.atomic():
        market = Market.objects.select_for_update(no_key=True).get(pk=market_id)
        # Where no feed claims too much, the watermark alone does: by waiting in a time that was wrong.
        since = certain or fetch_value(
            "select coalesce(false_since(%s), provider_now(%s))", [market_id, market.provider]
        )
        why = [WRONG_TIME, EndCode.WRONG_TIME]
        taken = fetch_value("select take_back(%s, %s, %s, %s, %s)", [market_id, since, *why, stale_after()])
    if taken:
        CLAIMS_OF_WRONG_TIME.inc()
        log.error("claims taken back", market=market.symbol, since=since.isoformat(), reason=WRONG_TIME)
    return bool(taken)
