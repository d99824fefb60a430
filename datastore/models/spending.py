"""How much of the provider's history each caller caused to be fetched."""

from __future__ import annotations

from django.db import models


class FetchSpending(models.Model):
    """The pages of the provider's history that one caller caused on one UTC day."""

    pk = models.CompositePrimaryKey("day", "spender")
    day = models.DateField(help_text="UTC.")
    spender = models.TextField(help_text="A key's prefix or an address.")
    pages = models.BigIntegerField(default=0)

    class Meta:
        db_table = "fetch_spending"

    def __str__(self) -> str:
        return f"{self.day} {self.spender}: {self.pages}"
