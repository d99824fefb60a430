"""Who asks, and what they may do. Defaults of every view (settings.REST_FRAMEWORK): a new one is guarded at once.

Safe methods follow the reading rule: open, or with REQUIRE_API_KEY for keys and users who are signed in. All others
follow the writing rule: for keys with the write scope and staff, whose sessions need their CSRF token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated, PermissionDenied, Throttled
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from datastore.access.api_keys import KeyHolder
from datastore.api.auth.api_key_header import key_of
from datastore.api.auth.client_address import client_address
from datastore.api.auth.throttle import take_turn
from datastore.backfill import quota

if TYPE_CHECKING:  # its module imports this one: these classes are the defaults of its views
    from rest_framework.views import APIView

ASKER = "candlekeep.asker"  # in request.META: no header can be spelled so
SENT_AS = "sent as `Authorization: Bearer ck_…` or `X-API-Key: ck_…`"
CHALLENGE = 'Bearer realm="candlekeep"'
TO_READ = f"Reading needs an API key here, {SENT_AS}. `manage.py create_api_key NAME` makes one."
TO_WRITE = (
    f"Writing needs an API key with the write scope, {SENT_AS} (`manage.py create_api_key NAME --write` makes one), or "
    "the session of a staff user with its CSRF token (/admin/)."
)
NOT_STAFF = (
    "The user of this session is not staff and may only read. An API key with the write scope will do: "
    "`manage.py create_api_key NAME --write` makes one."
)


class ApiKeyAuthentication(BaseAuthentication):
    """Recognises an API key; one that is not valid is refused even if none is needed."""

    def authenticate(self, request: Request) -> tuple[None, KeyHolder] | None:
        """Return (None, holder) if a key is sent. Raises AuthenticationFailed, Throttled."""
        holder = key_of(request._request)
        if holder is None:
            return None
        request.META[ASKER] = f"key {holder.name}"
        return None, holder

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return CHALLENGE


class StaffSessionAuthentication(SessionAuthentication):
    """A user signed in at /admin/; writing needs the CSRF token too."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        """Return (user, None) for a session. Raises PermissionDenied if the CSRF token is missing."""
        # Open reading needs no user: so it costs no query, and its answers do not vary by cookie.
        if request.method in SAFE_METHODS and not settings.REQUIRE_API_KEY:
            return None
        found: tuple[Any, None] | None = super().authenticate(request)
        if found is not None:
            request.META[ASKER] = f"user {found[0].get_username()}"
        return found


class ReadOrWritePermission(BasePermission):
    """The reading rule for safe methods, the writing rule for all others."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return True; raise NotAuthenticated or PermissionDenied with what to do, or Throttled."""
        name = str(request.method).lower()
        if name not in view.http_method_names or not hasattr(view, name):
            return True  # nothing can be done by it: 405 says more than 401
        reading, holder, user = request.method in SAFE_METHODS, request.auth, request.user
        if reading and not settings.REQUIRE_API_KEY:
            return True

        refusal: APIException | None = None
        if isinstance(holder, KeyHolder):
            if not (reading or holder.writes):
                refusal = PermissionDenied(f"The key {holder.name!r} may only read. {TO_WRITE}")
        elif user is None:
            refusal = NotAuthenticated(TO_READ if reading else TO_WRITE)
        elif not (reading or user.is_staff):
            refusal = PermissionDenied(NOT_STAFF)
        if refusal is not None:
            take_turn(request, view)  # being refused counts too
            raise refusal
        return True


def may_read(request: HttpRequest) -> bool:
    """Return whether a plain Django view may answer this request, by the reading rule; with a bad key never."""
    try:
        holder = key_of(request)
    except (AuthenticationFailed, Throttled):
        return False
    return not settings.REQUIRE_API_KEY or holder is not None or _user_of(request) is not None


def has_key(request: HttpRequest) -> bool:
    """Return whether a request to a plain Django view comes with a valid key or a staff session, needed or not."""
    try:
        return key_of(request) is not None or is_staff(request)
    except (AuthenticationFailed, Throttled):
        return False


def is_staff(request: HttpRequest) -> bool:
    """Return whether the request comes with the session of an active staff user."""
    return bool(getattr(_user_of(request), "is_staff", False))


def _user_of(request: HttpRequest) -> AbstractBaseUser | None:
    """Return the active user of the request's session."""
    # Not request.user: that is None once Django REST framework has looked at a request without needing its session.
    user = get_user(request) if hasattr(request, "session") else None
    return user if isinstance(user, AbstractBaseUser) and user.is_active else None


def requester(request: Request) -> str:
    """Return who writes, for logs: `key NAME` or `user NAME`."""
    return str(request.META.get(ASKER, "nobody"))


def spend_quota(request: HttpRequest, pages: int) -> None:
    """Take the provider's pages from the budget of this request's key, else of its address. Raises BudgetSpent.

    The session is looked at only when there is something to fetch: staff have no budget.
    """
    holder = key_of(request)
    if holder is not None:
        limit = settings.FETCH_BUDGET_PER_KEY if holder.budget is None else holder.budget
        spender = f"key {holder.prefix}"
    elif is_staff(request):
        return
    else:
        limit, spender = settings.FETCH_BUDGET_PER_ADDRESS, f"address {client_address(request)}"
    if limit:
        quota.spend(spender, limit, pages)
