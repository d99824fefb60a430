"""The addresses under /udf/."""

from __future__ import annotations

from django.urls import path, re_path

from datastore.api.udf.views import Config, History, Marks, Nowhere, Search, Symbols, Time, TimescaleMarks

urlpatterns = [
    path("config", Config.as_view()),
    path("time", Time.as_view()),
    path("symbols", Symbols.as_view()),
    path("search", Search.as_view()),
    path("history", History.as_view()),
    path("marks", Marks.as_view()),
    path("timescale_marks", TimescaleMarks.as_view()),
    re_path(r"^[\s\S]*$", Nowhere.as_view()),
]
