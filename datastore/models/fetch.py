"""Requests to the provider's REST history."""

from __future__ import annotations

from django.db import models

from datastore.models.market import Market


class FetchRequest(models.Model):
    """A span [start, stop) of one market's candles to fetch, or the trades of some ids, traded in that time.

    Pages of candles go backwards from its stop.
    """

    class State(models.TextChoices):
        """From the queue to the database."""

        QUEUED = "queued"
        FETCHING = "fetching"
        PUBLISHED = "published"
        DONE = "done"
        FAILED = "failed"

    class Purpose(models.IntegerChoices):
        """Why it is fetched, the most urgent first."""

        READER = 0
        GAP = 1
        SCHEDULE = 2
        BACKFILL = 3

    TRADES = 0  # the resolution of a request for trades
    ACTIVE = (State.QUEUED, State.FETCHING, State.PUBLISHED)

    market = models.ForeignKey(Market, models.CASCADE, related_name="+")
    resolution = models.IntegerField(help_text="Seconds: 60, 3600 or 86400; 0: trades.")
    first_id = models.BigIntegerField(null=True, blank=True, help_text="Of the missing trades; NULL: candles.")
    last_id = models.BigIntegerField(null=True, blank=True, help_text="NULL: up to the newest trade there is.")
    start = models.DateTimeField()
    stop = models.DateTimeField()
    purpose = models.IntegerField(choices=Purpose.choices)
    state = models.TextField(choices=State.choices, default=State.QUEUED)
    reached = models.DateTimeField(
        null=True, blank=True, help_text="All of [reached, stop) is published and acknowledged; NULL: nothing yet."
    )
    pages_done = models.IntegerField(default=0)
    pages_total = models.IntegerField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True, help_text="Database's clock; renewed by the job.")
    worker = models.TextField(default="", blank=True, help_text="The producer that fetches it.")
    dispatched = models.IntegerField(default=0, help_text="How often it was handed out.")
    next_try = models.DateTimeField(null=True, blank=True, help_text="Database's clock; not before.")
    published_at = models.DateTimeField(null=True, blank=True, help_text="Database's clock; all of it is in the topic.")
    fell_short = models.IntegerField(default=0, help_text="How often its answer did not cover the whole span.")
    error = models.TextField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "fetch_request"
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["purpose", "id"],
                name="fetch_request_active",
                condition=models.Q(state__in=["queued", "fetching", "published"]),
            ),
            models.Index(fields=["market", "resolution", "start"], name="fetch_request_span"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(start__lt=models.F("stop")), name="fetch_request_not_empty")
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.market_id} {self.resolution} {self.start}..{self.stop} {self.state}"
