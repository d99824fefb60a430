"""The error pages that DEBUG=1 shows: Django hides settings by their names only, and passwords are in addresses too."""

from __future__ import annotations

from typing import Any

from django.utils.safestring import SafeString, mark_safe
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from actor_runtime.redaction import without_secrets


class RedactedSettings(SafeExceptionReporterFilter):
    """Shows settings without what is secret in their values."""

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        """Return the value as it may be shown."""
        shown = super().cleanse_setting(key, value)
        return without_secrets(shown) if isinstance(shown, str) else shown


class RedactedReporter(ExceptionReporter):
    """Shows the message, the frames and their variables without passwords and keys."""

    def get_traceback_html(self) -> SafeString:
        """Return the page."""
        return mark_safe(without_secrets(super().get_traceback_html()))  # noqa: S308 - escaped already

    def get_traceback_text(self) -> SafeString:
        """Return the page as plain text."""
        return mark_safe(without_secrets(super().get_traceback_text()))  # noqa: S308 - plain text
