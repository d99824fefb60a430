"""What could not be stored."""

from __future__ import annotations

from django.db import models


class DeadLetter(models.Model):
    """A record that could not be stored, with its bytes."""

    topic = models.TextField()
    market = models.TextField(null=True, blank=True, help_text="As the record names it; it may be unknown.")
    code = models.TextField(default="other", db_default="other", help_text="The kind of reason, to be filtered by.")
    reason = models.TextField()
    raw = models.BinaryField()
    position = models.TextField(default="", blank=True, help_text="The broker's name of its position.")
    created_at = models.DateTimeField(auto_now_add=True)
    replayed_at = models.DateTimeField(null=True, blank=True, help_text="When it was last published again.")
    replayed_by = models.TextField(default="", blank=True, db_default="")

    class Meta:
        db_table = "dead_letter"
        ordering = ["-id"]
        permissions = [("replay_deadletter", "Can publish dead letters again")]
        constraints = [
            models.UniqueConstraint(
                fields=["topic", "position"], name="dead_letter_once", condition=~models.Q(position="")
            )
        ]

    def __str__(self) -> str:
        return f"{self.topic}: {self.reason}"
