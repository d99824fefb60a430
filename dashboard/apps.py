"""The dashboard as a Django app, and Django's admin with our index."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps  # the module: Django takes a class here for the dashboard itself


class DashboardConfig(AppConfig):
    """Pages without tables of their own."""

    name = "dashboard"


class AdminConfig(admin_apps.AdminConfig):
    """Django's admin as our site."""

    default = False
    default_site = "dashboard.admin_site.CandlekeepAdminSite"
