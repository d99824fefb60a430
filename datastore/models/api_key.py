"""API keys: which programs may ask the API."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models


class ApiKey(models.Model):
    """A key that was given to a program; its text is shown once and stored nowhere."""

    class Scope(models.TextChoices):
        """What it may do; writing includes reading."""

        READ = "read", "Read"
        WRITE = "write", "Read and write"

    name = models.CharField(
        max_length=100,
        unique=True,  # for good: the log refers to keys by name, revoked ones too
        validators=[RegexValidator(r"\A\w[\w .:@/-]*\Z", "Letters, digits, blanks and .:@/-_ are accepted.")],
        help_text="Who uses it; the log refers to it by this name.",
    )
    prefix = models.TextField(unique=True, editable=False, help_text="The part that may be shown: ck_<prefix>_…")
    # Plain SHA-256, not a slow password hash: slowness protects a secret that can be guessed. This one is 256 random
    # bits, which no speed of guessing finds, and a slow hash would add milliseconds to each lookup.
    sha256 = models.TextField(unique=True, editable=False, help_text="Of the whole text, in hex.")
    scope = models.TextField(choices=Scope.choices, default=Scope.READ)
    rate = models.PositiveIntegerField(
        "requests a minute", null=True, blank=True, help_text="Empty: RATE_LIMIT_PER_KEY; 0: no limit."
    )
    budget = models.PositiveIntegerField(
        "provider's pages a day", null=True, blank=True, help_text="Empty: FETCH_BUDGET_PER_KEY; 0: no limit."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="To the minute.")
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "api_key"
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} (ck_{self.prefix}_…)"
