"""Pages of the admin site as a signed-in client gets them."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse


def page(client: Client, model: type, name: str = "changelist", *args: object) -> str:
    meta = model._meta  # type: ignore[attr-defined]
    response = client.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_{name}", args=args))
    assert response.status_code == 200
    return response.content.decode()
