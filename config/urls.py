"""Where each address leads."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from config import health
from config.front import front

urlpatterns = [
    path("", front),
    path("admin/", admin.site.urls),
    path("health/live", health.live),
    path("health/ready", health.ready),
]
