"""Which of a venue's consecutive trade ids are stored; the SQL functions in datastore/sql write them."""

from __future__ import annotations

from django.db import models
from django.db.models import CompositePrimaryKey, F

from datastore.models.market import Market


class IdRange(models.Model):
    """Ids from first to last, all stored, between ids that are not; or ids for which two different trades came."""

    pk = CompositePrimaryKey("market", "first")
    market = models.ForeignKey(Market, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    since = models.DateTimeField(help_text="When the first was traded.")
    until = models.DateTimeField(help_text="When the last was traded.")
    doubted = models.BooleanField(
        default=False, db_default=False, help_text="Two different trades came; proves nothing."
    )

    class Meta:
        db_table = "id_range"
        indexes = [
            models.Index(fields=["market", "since"], name="id_range_since"),
            models.Index(fields=["market", "first"], name="id_range_doubted", condition=models.Q(doubted=True)),
        ]
        constraints = [models.CheckConstraint(condition=models.Q(first__lte=F("last")), name="id_range_not_empty")]

    def __str__(self) -> str:
        return f"{self.market_id} {self.first}..{self.last}"


class LastTradeStatement(models.Model):
    """The venue said that no trade before a time has a greater id; kept until trades behind that one are stored."""

    pk = CompositePrimaryKey("market", "last_id")
    market = models.ForeignKey(Market, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    last_id = models.BigIntegerField()
    since = models.DateTimeField(help_text="The venue's time when it first said so.")
    at = models.DateTimeField(help_text="When it last said so.")

    class Meta:
        db_table = "last_trade"

    def __str__(self) -> str:
        return f"{self.market_id} {self.last_id} at {self.at}"
