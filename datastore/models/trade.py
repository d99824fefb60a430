"""Trades; the SQL functions in datastore/sql write them."""

from __future__ import annotations

from django.db import models
from django.db.models import CompositePrimaryKey

from datastore.models.fields import ExactDecimalField
from datastore.models.market import Market

IMPORTED = "imported:"  # how the id begins that an import gives to a trade without one


class Tick(models.Model):
    """One trade; the order within a market is (ts, seq nulls last, trade_id).

    No index of plain PostgreSQL holds the primary key: the function `ingest` stores each trade once, and an index by
    market and time, which is a third of the size, serves every read. A hypertable keeps the key.
    """

    pk = CompositePrimaryKey("market", "ts", "trade_id")
    market = models.ForeignKey(Market, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    ts = models.DateTimeField(help_text="Exchange time.")
    received_at = models.DateTimeField(help_text="Provider's time at the first receipt.")
    seq = models.BigIntegerField(null=True)
    side = models.SmallIntegerField(default=0, help_text="Taker: 1 buy, -1 sell, 0 unknown.")
    # Byte order, so that ties are broken the same way on every installation, whatever its locale.
    trade_id = models.TextField(db_collation="C")
    price = ExactDecimalField()
    amount = ExactDecimalField(help_text="In units of the base.")

    first_id = models.BigIntegerField(null=True, help_text="Of the venue's consecutive ids that it covers; NULL: none.")
    last_id = models.BigIntegerField(null=True)

    class Meta:
        db_table = "tick"
        indexes = [models.Index(fields=["market", "ts"], name="tick_market_ts")]
        constraints = [
            # NaN and Infinity compare as greater than every number.
            models.CheckConstraint(condition=models.Q(price__gt=0, price__lt="Infinity"), name="tick_price"),
            models.CheckConstraint(condition=models.Q(amount__gte=0, amount__lt="Infinity"), name="tick_amount"),
        ]

    def __str__(self) -> str:
        return f"{self.market_id} {self.ts} {self.trade_id}"
