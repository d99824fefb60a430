"""API keys in the admin: made here, shown once, revoked here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from actor_runtime.read_only_admin import ExactAdmin, exact
from datastore.access.api_keys import KEY_CACHE_TTL_S, make_key, revoke_key
from datastore.admin.columns import confirmation
from datastore.models import ApiKey

FORM_FIELDS = ("name", "scope", "rate", "budget")
TIMES = (exact("created_at"), exact("last_used_at"), exact("revoked_at"))
STATUS_FIELDS = ("shown", *TIMES)


@admin.register(ApiKey)
class ApiKeyAdmin(ExactAdmin):
    """Keys by name; what a key may do is fixed when it is made, only its limits can change."""

    list_display = ["name", "shown", "scope", *TIMES, "rate", "budget"]
    list_filter = ["scope", ("revoked_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "prefix"]
    actions = ["revoke"]

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Return the form's fields, and the status of a key that exists."""
        return FORM_FIELDS if obj is None else (*FORM_FIELDS, *STATUS_FIELDS)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Return all fields but the limits for a key that exists: the log refers to it by its name."""
        return () if obj is None else ("name", "scope", *STATUS_FIELDS)

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Return False: a key is revoked, and its row still says whose it was."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ModelForm[ApiKey], change: bool) -> None:
        """Save the limits; show the text of a new key in a message, the only time it can be seen."""
        if not change:
            made, text = make_key(obj.name, obj.scope)
            obj.prefix, obj.sha256 = made.prefix, made.sha256
        super().save_model(request, obj, form, change)
        if not change:
            shown = format_html("The key of {} is shown only now: <code>{}</code>", obj.name, text)
            messages.warning(request, shown)

    @admin.action(description="Revoke selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        """Ask first; then revoke each selected key and say so."""
        question = "Revoke these keys? They are refused from then on, for good."
        if page := confirmation(self, request, queryset, question, "Revoke them"):
            return page
        revoked = [key for key in queryset if revoke_key(key)]
        for key in revoked:
            self.log_change(request, key, "Revoked.")
        names = ", ".join(key.name for key in revoked)
        result = f"Revoked: {names}; refused within {KEY_CACHE_TTL_S:g} s." if revoked else "None was in use."
        messages.success(request, result)
        return None

    @admin.display(description="Key", ordering="prefix")
    def shown(self, key: ApiKey) -> str:
        """Return the part of the key that may be shown."""
        return f"ck_{key.prefix}_…"
