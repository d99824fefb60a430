"""Markets, their symbols, and which of them are followed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from datastore.db.news import Subject, tell
from datastore.models import CoverageChange, DynamicTopic, GapRepair, Market, Pair
from datastore.reference.provider_registry import provider_of
from datastore.symbol import parts_of


def market_of(symbol: str) -> Market | None:
    """Return the market with this symbol, None if it has no row."""
    return Market.objects.filter(symbol=symbol).first()


def ensure_markets(symbols: Iterable[str]) -> list[Market]:
    """Return the markets with these symbols, in this order, creating and following them; raise BadSymbol."""
    unique = list(dict.fromkeys(symbols))
    markets = _get_or_create(unique)
    with transaction.atomic():
        if Market.objects.filter(symbol__in=unique, followed=False).update(followed=True):
            tell(Subject.ROUTES)
    for market in markets:
        market.followed = True
    return markets


def get_or_create_market(symbol: str) -> Market:
    """Return the market with this symbol, created unfollowed at the first question; raise BadSymbol."""
    return _get_or_create([symbol])[0]


def get_or_create_markets(symbols: Sequence[str]) -> list[Market]:
    """Return the markets with these symbols, in this order, created unfollowed; raise BadSymbol."""
    return _get_or_create(symbols)


def follow(market: Market) -> bool:
    """Add a market to the always-on set; False if it was followed already."""
    market.followed = True
    with transaction.atomic():
        followed = bool(Market.objects.filter(pk=market.pk, followed=False).update(followed=True))
        tell(Subject.ROUTES)
    return followed


def unfollow(market: Market) -> bool:
    """Remove a market from the always-on set, but keep its data; False if it was not followed."""
    market.followed = False
    with transaction.atomic():
        locked = Market.objects.select_for_update(no_key=True).get(pk=market.pk)
        unfollowed = Market.objects.filter(pk=market.pk, followed=True).update(
            followed=False, refusal=None, refused_since=None
        )
        tell(Subject.ROUTES)
        if not feed_markets().filter(pk=market.pk).exists():
            forget_gaps(locked)
    return bool(unfollowed)


def feed_markets() -> QuerySet[Market]:
    """Return the markets whose feed we take and whose gaps we repair: followed, or with a live dynamic topic."""
    streamed = DynamicTopic.objects.filter(state__in=DynamicTopic.ALIVE).order_by().values("market")
    return Market.objects.filter(Q(followed=True) | Q(pk__in=streamed))


def forget_gaps(market: Market) -> None:
    """Delete the gaps, except final ones, of a market whose feed ends; call under its lock.

    Nothing repairs them from now on, so a reader's question has to fetch them again.
    """
    gaps = GapRepair.objects.filter(market=market, final=False)
    for gap in gaps:
        CoverageChange.note_gap(market, gap.resolution, gap.start, gap.stop)
    forgotten, _ = gaps.delete()
    if forgotten:
        Market.objects.filter(pk=market.pk).update(version=F("version") + 1)


def _get_or_create(symbols: Sequence[str]) -> list[Market]:
    """Return markets in this order, creating the missing rows; raise BadSymbol."""
    for symbol in symbols:
        parts_of(symbol)
    found = {market.symbol: market for market in Market.objects.filter(symbol__in=symbols)}
    missing = [symbol for symbol in symbols if symbol not in found]
    if missing:
        listed = Pair.objects.in_bulk(missing)
        made = [_new_market(symbol, listed.get(symbol)) for symbol in missing]
        Market.objects.bulk_create(made, ignore_conflicts=True)  # another caller may be first
        found |= {market.symbol: market for market in Market.objects.filter(symbol__in=missing)}
    return [found[symbol] for symbol in symbols]


def _new_market(symbol: str, listed: Pair | None) -> Market:
    """Return an unsaved market, in the provider's spelling if its list has the pair, else in the one we expect."""
    exchange, base, quote = parts_of(symbol)
    provider = provider_of(exchange, settings.PROVIDERS)
    spelling = provider.spelling_of(exchange)
    return Market(
        symbol=symbol,
        exchange=exchange,
        base=base,
        quote=quote,
        provider=provider.name,
        provider_exchange=listed.provider_exchange if listed else spelling,
        provider_base=listed.provider_base if listed else base,
        provider_quote=listed.provider_quote if listed else quote,
    )
