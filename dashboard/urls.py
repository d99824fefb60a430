"""The addresses of the pages."""

from __future__ import annotations

from django.urls import path

from dashboard.views import actors, chart, dead_letters, gaps, markets, requests, sign_in, streams, system
from dashboard.views import alerts as alerts_page

urlpatterns = [
    path("", markets.markets),
    path("markets/<path:symbol>", chart.chart),
    path("actors", actors.actors),
    path("actors/log", actors.log),
    path("actors/<str:kind>", actors.one_kind),
    path("actors/<str:kind>/<str:name>", actors.one_actor),
    path("streams", streams.streams),
    path("streams/markets", streams.suggestions),
    path("streams/<int:number>", streams.stream),
    path("gaps", gaps.gaps),
    path("gaps/<int:number>", gaps.gap),
    path("requests", requests.requests),
    path("dead-letters", dead_letters.dead_letters),
    path("dead-letters/<int:number>", dead_letters.dead_letter),
    path("system", system.system),
    path("alerts", alerts_page.alerts),
    path("sign-in", sign_in.SignIn.as_view()),
    path("sign-out", sign_in.SignOut.as_view()),
]
