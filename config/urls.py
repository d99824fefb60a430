"""The view of each address."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from config.monitoring import health
from config.monitoring.metrics import metrics

urlpatterns = [
    path("api/v1/", include("datastore.api.urls")),
    path("udf/", include("datastore.api.udf.urls")),
    path("binance/", include("datastore.api.binance.urls")),
    path("admin/", admin.site.urls),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("health/fresh", health.fresh),
    path("metrics", metrics),
    path("", include("dashboard.urls")),
]
# Errors before or outside a view are answered with a problem document too.
handler404 = "datastore.api.views.not_found.not_found"
handler400 = "datastore.api.responses.problem.bad_request"
handler500 = "datastore.api.responses.problem.server_error"
