"""The pages as a client gets them."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.utils.html import escape

XSS = "<script>alert('x')</script>"
XSS_SHOWN = escape(XSS)


def shown(client: Client, address: str, status: int = 200) -> str:
    """Return a page after checking its status."""
    response = client.get(address)
    assert response.status_code == status, response.content
    return response.content.decode()


def written(client: Client, address: str, status: int, method: str = "POST", body: str = "") -> Any:
    """Ask the API as the page's script does, with the token from the cookie; return the answer."""
    client.get("/streams")  # sets the cookie
    token = client.cookies["csrftoken"].value if "csrftoken" in client.cookies else ""
    response = client.generic(method, address, body, "application/json", headers={"X-CSRFToken": token})
    assert response.status_code == status, response.content
    return response
