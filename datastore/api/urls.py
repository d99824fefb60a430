"""The addresses under /api/v1/."""

from __future__ import annotations

from django.urls import path, re_path

from datastore.api.actors import ActorDetail, ActorList, ActorReset
from datastore.api.candles import Candles, CoverageView
from datastore.api.dead_letters import DeadLetters, OneDeadLetter, Replay
from datastore.api.documentation import Docs, SchemaView
from datastore.api.markets import Markets, OneMarket
from datastore.api.nowhere import Nowhere
from datastore.api.requests import Backfill, OneRequest
from datastore.api.stream import CandleStream
from datastore.api.streams import OneStream, StreamEvents, Streams
from datastore.api.tickers import Tickers
from datastore.api.trades import Trades

urlpatterns = [
    path("candles", Candles.as_view()),
    path("candles/stream", CandleStream.as_view()),
    path("coverage", CoverageView.as_view()),
    path("trades", Trades.as_view()),
    path("tickers", Tickers.as_view()),
    path("markets", Markets.as_view()),
    path("markets/<path:asked>", OneMarket.as_view()),
    re_path(r"^requests/(?P<number>[0-9]{1,18})$", OneRequest.as_view()),  # what fits into the table's key
    path("backfill", Backfill.as_view()),
    path("streams", Streams.as_view()),
    re_path(r"^streams/(?P<number>[0-9]{1,18})$", OneStream.as_view()),
    re_path(r"^streams/(?P<number>[0-9]{1,18})/events$", StreamEvents.as_view()),
    path("dead-letters", DeadLetters.as_view()),
    re_path(r"^dead-letters/(?P<number>[0-9]{1,18})$", OneDeadLetter.as_view()),
    re_path(r"^dead-letters/(?P<number>[0-9]{1,18})/replay$", Replay.as_view()),
    path("actors", ActorList.as_view()),
    path("actors/<str:kind>/<str:name>", ActorDetail.as_view()),
    path("actors/<str:kind>/<str:name>/reset", ActorReset.as_view()),
    path("schema", SchemaView.as_view()),
    path("docs", Docs.as_view()),
    re_path(r"^[\s\S]*$", Nowhere.as_view()),  # a dot would let a line feed through to Django's own page
]
