"""Streams that applications follow, and the topics made for them at run time."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from datastore.models.market import Market


class DynamicTopic(models.Model):
    """One market's topic, for its streams of any timeframe; a name is never used twice.

    The Coordinator writes `state`; the actors that it instructs write what they did, and when, to columns of their own.
    A time that is set is an acknowledgement. All times are by the database's clock.
    """

    class State(models.TextChoices):
        """From the first request to the deletion at the broker."""

        CREATING = "creating"  # a Producer has to make it at the broker
        NOTIFYING = "notifying"  # the live Producer has to route the market to it, a consumer to subscribe
        LIVE = "live"
        RETIRING = "retiring"  # in this order: route ended, read to the end, consumer retired, deleted
        RETIRED = "retired"

    # The Coordinator works on one topic in these states at a time.
    BEING_MADE = (State.CREATING, State.NOTIFYING)
    # The live Producer publishes to these, and a consumer reads them.
    ROUTED = (State.NOTIFYING, State.LIVE)
    ALIVE = (State.CREATING, State.NOTIFYING, State.LIVE)

    name = models.TextField(unique=True, help_text="dyn-{exchange}-{BASE}-{QUOTE}-g{n}")
    market = models.ForeignKey(Market, models.CASCADE, related_name="+")
    state = models.TextField(choices=State.choices, default=State.CREATING)
    error = models.TextField(null=True, blank=True, help_text="Why it was given up.")
    requested_at = models.DateTimeField()
    creator = models.TextField(default="", blank=True, help_text="The Producer that made it.")
    created_at = models.DateTimeField(null=True, blank=True)
    create_error = models.TextField(null=True, blank=True)
    notified_at = models.DateTimeField(null=True, blank=True, help_text="When the actors were notified.")
    producer = models.TextField(default="", blank=True, help_text="The Producer that publishes to it.")
    routed_at = models.DateTimeField(null=True, blank=True, help_text="Its first record was acknowledged.")
    route_error = models.TextField(null=True, blank=True, help_text="Why records cannot be published to it.")
    consumer = models.TextField(default="", blank=True, help_text="The process that reads it.")
    subscribed_at = models.DateTimeField(null=True, blank=True)
    subscribe_error = models.TextField(null=True, blank=True)
    live_at = models.DateTimeField(null=True, blank=True)
    retiring_at = models.DateTimeField(null=True, blank=True)
    route_ended_at = models.DateTimeField(null=True, blank=True, help_text="Nothing more is published to it.")
    drained_at = models.DateTimeField(null=True, blank=True, help_text="Read to the end after the route had ended.")
    retired_at = models.DateTimeField(null=True, blank=True, help_text="Deleted at the broker.")

    class Meta:
        db_table = "dynamic_topic"
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["state"], name="dynamic_topic_open", condition=~models.Q(state="retired"), include=["market"]
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["market"],
                name="dynamic_topic_one_alive",
                condition=models.Q(state__in=["creating", "notifying", "live"]),
            )
        ]

    def __str__(self) -> str:
        return self.name


class Stream(models.Model):
    """A market and timeframe that applications follow; there is one stream of the two at a time."""

    class State(models.TextChoices):
        """How far it is; while it is requested, the topic's state says more."""

        REQUESTED = "requested"
        LIVE = "live"
        ENDED = "ended"  # deleted, or its lease ran out
        FAILED = "failed"

    ALIVE = (State.REQUESTED, State.LIVE)
    # The stream fails after so many attempts.
    MAX_ATTEMPTS: ClassVar[int] = 3

    market = models.ForeignKey(Market, models.CASCADE, related_name="+")
    timeframe = models.TextField()
    state = models.TextField(choices=State.choices, default=State.REQUESTED)
    topic = models.ForeignKey(DynamicTopic, models.SET_NULL, null=True, blank=True, related_name="streams")
    attempts = models.IntegerField(default=0)
    next_try = models.DateTimeField(null=True, blank=True, help_text="Database's clock; not before.")
    error = models.TextField(null=True, blank=True, help_text="Of the last try.")
    asked_by = models.TextField(default="", blank=True)
    lease_until = models.DateTimeField(help_text="Database's clock; renewed by PUT or by being followed.")
    created_at = models.DateTimeField()
    live_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.TextField(default="", blank=True, help_text="Who deleted it, or that its lease ran out.")

    class Meta:
        db_table = "stream"
        ordering = ["-id"]
        permissions = [("end_stream", "Can end streams")]
        constraints = [
            models.UniqueConstraint(
                fields=["market", "timeframe"],
                name="stream_one_alive",
                condition=models.Q(state__in=["requested", "live"]),
            )
        ]

    def __str__(self) -> str:
        return f"{self.market_id} {self.timeframe} {self.state}"
