"""What is proven, how far each feed is, and what is missing."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import CompositePrimaryKey, F

from datastore.models.market import Market
from streaming.ends import EndCode

CHANGE_RETENTION_VERSIONS = 10_000  # a cursor that is further behind starts again from a snapshot


class Coverage(models.Model):
    """A proven span [start, stop): every trade in it is stored, or the provider's answer covers it."""

    class Source(models.TextChoices):
        """What proves the span: our feed or an answer of the provider."""

        LIVE = "live"
        PROVIDER = "provider"

    pk = CompositePrimaryKey("market", "source", "feed", "resolution", "start")
    market = models.ForeignKey(Market, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    source = models.TextField(choices=Source.choices)
    feed = models.TextField(
        default="",
        help_text=(
            "Topic and connection, `seq/` and these, or `ids/` and the first stored id; empty: the provider's answer."
        ),
    )
    resolution = models.IntegerField(default=0, help_text="Seconds of the provider's answer, 0 for live.")
    start = models.DateTimeField()
    stop = models.DateTimeField()
    reason = models.TextField(null=True, help_text="How it ended; NULL: not known to have ended.")
    code = models.TextField(null=True, help_text="The kind of reason, one of streaming.ends.EndCode; NULL as there.")
    proof = models.TextField(
        default="connection",
        db_default="connection",
        help_text="What it rests on, one of datastore.reference.traits.Proof.",
    )
    version = models.BigIntegerField(default=0, db_default=0, help_text="When it last began, ended or joined another.")

    class Meta:
        db_table = "coverage"
        indexes = [models.Index(fields=["market", "source", "resolution", "start"], name="coverage_start")]
        constraints = [models.CheckConstraint(condition=models.Q(start__lt=F("stop")), name="coverage_not_empty")]

    def __str__(self) -> str:
        return f"{self.market_id} {self.source} {self.start}..{self.stop}"


class CoverageChange(models.Model):
    """An interval whose certificate changed: a span began or grew, a gap opened, changed or was filled.

    Coverage and GapRepair hold only the present state: spans are joined, gaps are deleted. A follower of the market
    reads here what to read again. Kept for as many versions as a cursor may be behind.
    """

    class What(models.TextChoices):
        """What changed: coverage by our feed or by the provider, or a gap."""

        LIVE = "live"
        PROVIDER = "provider"
        GAP = "hole"  # as it was first stored

    market = models.ForeignKey(Market, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    version = models.BigIntegerField(help_text="The market's version that shows the change.")
    what = models.TextField(choices=What.choices)
    resolution = models.IntegerField(default=0, help_text="Seconds of the provider's answer or the gap, 0 for live.")
    start = models.DateTimeField()
    stop = models.DateTimeField()

    class Meta:
        db_table = "coverage_change"
        indexes = [models.Index(fields=["market", "version"], name="coverage_change_version")]

    def __str__(self) -> str:
        return f"{self.market_id} #{self.version} {self.what} {self.start}..{self.stop}"

    @classmethod
    def note_gap(cls, market: Market, resolution: int, start: datetime, stop: datetime) -> None:
        """Note that a gap opened, changed or was closed; call under the market's lock and raise its version."""
        span = {"resolution": resolution, "start": start, "stop": stop}
        cls.objects.create(market=market, version=market.version + 1, what=cls.What.GAP, **span)

    @classmethod
    def forget_old(cls) -> int:
        """Delete the changes that are too old for any cursor; return how many."""
        return cls.objects.filter(version__lte=F("market__version") - CHANGE_RETENTION_VERSIONS).delete()[0]


class FeedPosition(models.Model):
    """How far a feed is stored in one market: its last number and its open span."""

    pk = CompositePrimaryKey("market", "feed")
    market = models.ForeignKey(Market, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    feed = models.TextField()
    topic = models.TextField()
    last_n = models.BigIntegerField()
    unbroken = models.BooleanField(help_text="Every number from 1 to last_n was seen.")
    start = models.DateTimeField(null=True, help_text="Of the open span; NULL: none is open.")
    stop = models.DateTimeField(null=True, help_text="Proven up to here; NULL: nothing of the open span yet.")
    bridge = models.DateTimeField(null=True, help_text="A replay reaches back to here, once the span is proven at all.")
    reason = models.TextField(null=True, help_text="How the previous span ended.")
    numbers = models.JSONField(
        null=True, help_text="The provider's numbers, as datastore.ingest.number_run stores them."
    )

    class Meta:
        db_table = "feed_position"
        indexes = [models.Index(fields=["market", "topic"], name="feed_position_topic")]

    def __str__(self) -> str:
        return f"{self.market_id} {self.feed} #{self.last_n}"


class Feed(models.Model):
    """A connection: up to when the broker acknowledged its records, and when its topic was last read to the end."""

    feed = models.TextField(primary_key=True)
    topic = models.TextField(db_index=True)
    markets = models.JSONField(default=list, help_text="Symbols routed here; empty: all of the topic.")
    connected = models.DateTimeField(null=True)
    acknowledged_until = models.DateTimeField()
    acknowledged_at = models.DateTimeField(help_text="The database's clock.")
    behind_since = models.DateTimeField(help_text="Provider's time of the first acknowledgement that was not read yet.")
    drained_at = models.DateTimeField(null=True, help_text="The database's clock.")

    class Meta:
        db_table = "feed"
        indexes = [
            models.Index(
                fields=["acknowledged_until"],
                name="feed_behind",
                condition=models.Q(drained_at__isnull=True) | models.Q(drained_at__lt=F("acknowledged_at")),
            )
        ]

    def __str__(self) -> str:
        return self.feed


class GapRepair(models.Model):
    """A gap and what is done about it; a final one is not asked for again."""

    market = models.ForeignKey(Market, models.CASCADE, related_name="+")
    resolution = models.IntegerField()
    start = models.DateTimeField()
    stop = models.DateTimeField()
    reason = models.TextField()
    code = models.TextField(
        default=EndCode.OTHER.value,
        db_default=EndCode.OTHER.value,
        help_text="The kind of reason, one of datastore.coverage.reasons.ANY_CODE.",
    )
    version = models.BigIntegerField(default=0)
    attempts = models.IntegerField(default=0)
    next_try = models.DateTimeField(null=True, blank=True)
    final = models.BooleanField(default=False, help_text="The provider answered that it has nothing.")

    class Meta:
        db_table = "gap_repair"
        indexes = [models.Index(fields=["market", "resolution", "start"], name="gap_repair_start")]

    def __str__(self) -> str:
        return f"{self.market_id} {self.resolution} {self.start}..{self.stop}"
