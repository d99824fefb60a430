"""Closed candles compared with the provider's: what was compared and what differs."""

from __future__ import annotations

from django.db import models

from datastore.models.market import Market


class Reconciliation(models.Model):
    """A span whose live candles were compared with one answer of the provider; comparing changes nothing."""

    market = models.ForeignKey(Market, models.CASCADE, related_name="+")
    resolution = models.IntegerField(help_text="Seconds.")
    start = models.DateTimeField()
    stop = models.DateTimeField()
    compared = models.IntegerField(help_text="Buckets that our feed and the provider's answer both prove.")
    different = models.IntegerField(help_text="Those of them that differ.")
    note = models.TextField(blank=True, default="", help_text="Why nothing could be compared.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "reconciliation"
        ordering = ["-id"]
        indexes = [models.Index(fields=["market", "resolution", "start"], name="reconciliation_span")]

    def __str__(self) -> str:
        return f"{self.market_id} {self.resolution} {self.start}..{self.stop}: {self.different} of {self.compared}"


class CandleDifference(models.Model):
    """A candle that differs from the provider's; both as text: open, high, low, close, volume, quote volume."""

    reconciliation = models.ForeignKey(Reconciliation, models.CASCADE, related_name="differences")
    open_time = models.DateTimeField()
    ours = models.JSONField(null=True, help_text="NULL: we hold no trade.")
    theirs = models.JSONField(null=True, help_text="NULL: the provider has no trades there.")

    class Meta:
        db_table = "candle_difference"
        ordering = ["open_time"]

    def __str__(self) -> str:
        return f"{self.open_time}: {self.ours} / {self.theirs}"
