"""Candles, ours and the provider's; the SQL functions in datastore/sql write them."""

from __future__ import annotations

from django.db import models
from django.db.models import CompositePrimaryKey

from datastore.models.fields import ExactDecimalField
from datastore.models.market import Market


class Candle(models.Model):
    """A candle of stored trades; one that lost its last trade stays, with trades 0, so that followers learn of it."""

    pk = CompositePrimaryKey("market", "resolution", "open_time")
    market = models.ForeignKey(Market, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    resolution = models.IntegerField(help_text="Seconds: 60, 3600 or 86400.")
    open_time = models.DateTimeField()
    open = ExactDecimalField(null=True)
    high = ExactDecimalField(null=True)
    low = ExactDecimalField(null=True)
    close = ExactDecimalField(null=True)
    volume = ExactDecimalField()
    quote_volume = ExactDecimalField()
    trades = models.IntegerField()
    version = models.BigIntegerField(help_text="The market's version at the last change.")
    revision = models.IntegerField(default=0, db_default=0, help_text="Committed changes since the first.")
    corrections = models.IntegerField(
        default=0, db_default=0, help_text="Those of them that came after it was closed, with proof that it was whole."
    )

    class Meta:
        db_table = "candle"
        indexes = [
            models.Index(fields=["market", "version"], name="candle_version"),
            models.Index(
                fields=["market", "resolution", "open_time"],
                name="candle_corrected",
                condition=models.Q(corrections__gt=0),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(resolution__in=(60, 3600, 86400)), name="candle_resolution"),
        ]

    def __str__(self) -> str:
        return f"{self.market_id} {self.resolution} {self.open_time}"


class ProviderCandle(models.Model):
    """A final candle from the provider; quiet buckets have no row."""

    pk = CompositePrimaryKey("market", "resolution", "open_time")
    market = models.ForeignKey(Market, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    resolution = models.IntegerField(help_text="Seconds: 60, 3600 or 86400.")
    open_time = models.DateTimeField()
    open = ExactDecimalField()
    high = ExactDecimalField()
    low = ExactDecimalField()
    close = ExactDecimalField()
    volume = ExactDecimalField()
    quote_volume = ExactDecimalField(null=True, help_text="NULL: the provider does not give it.")
    version = models.BigIntegerField(help_text="The market's version at the last change.")
    revision = models.IntegerField(default=0, db_default=0, help_text="Changes of what was final already.")

    class Meta:
        db_table = "provider_candle"
        indexes = [
            models.Index(fields=["market", "version"], name="provider_candle_version"),
            models.Index(
                fields=["market", "resolution", "open_time"],
                name="provider_candle_corrected",
                condition=models.Q(revision__gt=0),
            ),
            # What is not served as it is: found without looking at every row that is read.
            models.Index(
                fields=["market", "resolution", "open_time"],
                name="provider_candle_odd",
                condition=models.Q(open__lt=models.F("low"))
                | models.Q(open__gt=models.F("high"))
                | models.Q(close__lt=models.F("low"))
                | models.Q(close__gt=models.F("high")),
            ),
        ]
        constraints = [models.CheckConstraint(condition=models.Q(volume__gte=0), name="provider_candle_volume")]

    def __str__(self) -> str:
        return f"{self.market_id} {self.resolution} {self.open_time}"
