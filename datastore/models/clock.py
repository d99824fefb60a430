"""The two clocks that the database keeps: its own steady time, and the provider's."""

from __future__ import annotations

from django.db import models


class DatabaseClock(models.Model):
    """The boot of the database's machine, from which steady time is counted (functions/steady_time.sql); one row."""

    boot = models.TextField(primary_key=True, help_text="The kernel's id of it.")
    booted_at = models.DateTimeField(help_text="Steady time at which the kernel's count was 0.")
    ahead = models.DurationField(help_text="Steady time - the clock's, when last compared.")
    newest = models.DateTimeField(help_text="Newest steady time noted: the next boot goes on from here.")
    server_start = models.DateTimeField(help_text="Of the server that last noted it.")

    class Meta:
        db_table = "database_clock"

    def __str__(self) -> str:
        return self.boot


class ProviderClock(models.Model):
    """One provider's identity, and the offset of its clock from the database's steady time."""

    provider = models.TextField(primary_key=True, help_text="Our name for it.")
    identity = models.TextField(
        default="", db_default="", help_text="Its name for itself, for good; empty until it was asked."
    )
    simulated = models.BooleanField(default=False)
    clock_offset = models.DurationField(
        null=True, blank=True, help_text="Provider's time - steady time; NULL: no stamp yet."
    )
    measured_at = models.DateTimeField(null=True, blank=True, help_text="Steady time.")
    certain_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Provider's time when it last jumped ahead; claims up to here are safe from it.",
    )

    class Meta:
        db_table = "provider_clock"

    def __str__(self) -> str:
        return self.provider
