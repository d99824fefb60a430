"""Signing in and out: needed to write, and to read where REQUIRE_API_KEY is on."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView

from dashboard.pages import MENU


class SignIn(LoginView):
    """Ask for name and password."""

    template_name = "dashboard/sign_in.html"
    next_page = "/"
    redirect_authenticated_user = False

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return what the page shows; its frame shows nothing of the data, which it may be needed to see."""
        return super().get_context_data(
            **kwargs, needed=settings.REQUIRE_API_KEY, menu=[{"url": url, "word": word} for url, word, _ in MENU]
        )


class SignOut(LogoutView):
    """End the session."""

    next_page = "/"
