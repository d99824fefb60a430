"""Markets, and the pairs of the provider's list that may become one."""

from __future__ import annotations

import uuid

from django.db import models

from datastore.models.fields import ExactDecimalField
from datastore.symbol import SYMBOL_PATTERN

FIRST_PROVIDER = "cryptocompare"  # of all markets that are older than the column


class Market(models.Model):
    """One traded pair at one exchange; whatever is written about the market is written under its row's lock."""

    id = models.AutoField(primary_key=True)
    symbol = models.TextField(unique=True, help_text="exchange:BASE-QUOTE")
    exchange = models.TextField()
    base = models.TextField()
    quote = models.TextField()
    provider_exchange = models.TextField(help_text="As the provider spells it.")
    provider_base = models.TextField()
    provider_quote = models.TextField()
    provider = models.TextField(
        default=FIRST_PROVIDER,
        db_default=FIRST_PROVIDER,
        editable=False,
        help_text="Who delivers its data, for good.",
    )
    followed = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Always on: we take its feed and repair its gaps.",
    )
    series = models.UUIDField(default=uuid.uuid4, editable=False, help_text="Random id of this history.")
    version = models.BigIntegerField(
        default=0, db_default=0, editable=False, help_text="Rises with every transaction that changes an answer."
    )
    watermark = models.DateTimeField(null=True, blank=True, editable=False, help_text="Up to here the feed is known.")
    live_stop = models.DateTimeField(null=True, blank=True, editable=False, help_text="Newest proven time of any feed.")
    ticks_from = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Trades before this UTC midnight were deleted by retention."
    )

    refusal = models.TextField(
        null=True, blank=True, editable=False, help_text="Why the provider refuses its feed, which is followed."
    )
    refused_since = models.DateTimeField(null=True, blank=True, editable=False, help_text="The database's clock.")

    class Meta:
        db_table = "market"
        ordering = ["symbol"]
        constraints = [models.CheckConstraint(condition=models.Q(symbol__regex=SYMBOL_PATTERN), name="market_symbol")]

    def __str__(self) -> str:
        return self.symbol


class Pair(models.Model):
    """A pair in a provider's list: a market that may be asked for, whether or not it has a Market row."""

    symbol = models.TextField(primary_key=True, help_text="exchange:BASE-QUOTE")
    exchange = models.TextField()
    base = models.TextField()
    quote = models.TextField()
    # Byte order, so that the index serves prefix searches too.
    joined = models.TextField(db_collation="C", help_text="BASEQUOTE in upper case, by which every spelling is found.")
    provider_exchange = models.TextField(help_text="As the provider spells it.")
    provider_base = models.TextField()
    provider_quote = models.TextField()
    provider = models.TextField(
        default=FIRST_PROVIDER, db_default=FIRST_PROVIDER, help_text="Whose list it is in: who would deliver its data."
    )
    price_step = ExactDecimalField(null=True, help_text="Prices are multiples of it; NULL: the list does not say.")
    amount_step = ExactDecimalField(null=True, help_text="Amounts are multiples of it; NULL: the list does not say.")
    active = models.BooleanField(default=True, help_text="In the newest list.")
    seen_at = models.DateTimeField(help_text="The newest list that holds it; the database's clock.")

    class Meta:
        db_table = "pair"
        ordering = ["symbol"]
        indexes = [models.Index(fields=["joined"], name="pair_joined")]

    def __str__(self) -> str:
        return self.symbol
