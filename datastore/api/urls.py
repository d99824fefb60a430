"""The addresses under /api/v1/."""

from __future__ import annotations

from django.urls import path, re_path

from datastore.api.openapi.view import Docs, SchemaView
from datastore.api.views.actors import ActorDetail, ActorList, ActorLog, ActorReset
from datastore.api.views.candles import Candles, CoverageView
from datastore.api.views.dead_letters import DeadLetters, OneDeadLetter, Replay
from datastore.api.views.follow import CandleStream, TickerStream
from datastore.api.views.gaps import GapRetry
from datastore.api.views.markets import Markets, OneMarket
from datastore.api.views.not_found import NotFoundView
from datastore.api.views.requests import Backfill, OneRequest
from datastore.api.views.root import Root
from datastore.api.views.streams import OneStream, StreamEvents, Streams
from datastore.api.views.tickers import Tickers
from datastore.api.views.trades import Trades

urlpatterns = [
    path("", Root.as_view()),
    path("candles", Candles.as_view()),
    path("candles/stream", CandleStream.as_view()),
    path("coverage", CoverageView.as_view()),
    path("trades", Trades.as_view()),
    path("tickers", Tickers.as_view()),
    path("tickers/stream", TickerStream.as_view()),
    path("markets", Markets.as_view()),
    path("markets/<path:asked>", OneMarket.as_view()),
    re_path(r"^requests/(?P<number>[0-9]{1,18})$", OneRequest.as_view()),  # what fits into the table's key
    path("backfill", Backfill.as_view()),
    re_path(r"^gaps/(?P<number>[0-9]{1,18})/retry$", GapRetry.as_view()),
    path("streams", Streams.as_view()),
    re_path(r"^streams/(?P<number>[0-9]{1,18})$", OneStream.as_view()),
    re_path(r"^streams/(?P<number>[0-9]{1,18})/events$", StreamEvents.as_view()),
    path("dead-letters", DeadLetters.as_view()),
    re_path(r"^dead-letters/(?P<number>[0-9]{1,18})$", OneDeadLetter.as_view()),
    re_path(r"^dead-letters/(?P<number>[0-9]{1,18})/replay$", Replay.as_view()),
    path("actors", ActorList.as_view()),
    path("actors/log", ActorLog.as_view()),
    path("actors/<str:kind>/<str:name>", ActorDetail.as_view()),
    path("actors/<str:kind>/<str:name>/reset", ActorReset.as_view()),
    path("schema", SchemaView.as_view()),
    path("docs", Docs.as_view()),
    re_path(r"^[\s\S]*$", NotFoundView.as_view()),  # a dot would let a line feed through to Django's own page
]
