"""API keys: made, shown once, remembered for a while, revoked."""

from __future__ import annotations

import io
import logging
import re
from datetime import timedelta
from typing import Any

import pytest
from cachetools import TTLCache
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from datastore.access import api_keys
from datastore.access.shared_cache import SharedCache
from datastore.models import ApiKey
from tests.support.api.keys import saved_key

pytestmark = pytest.mark.django_db
TEXT = re.compile(r"ck_[a-z0-9]{8}_[A-Za-z0-9_-]{43}")


def asked(text: str) -> api_keys.KeyHolder | None:
    return api_keys.holder_of(text, before_asking=lambda: None)


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.fixture
def root(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_a_command_prints_a_key_alone_on_its_line_and_it_works() -> None:
    text = command("create_api_key", "grafana", "--write", "--rate", "30", "--budget", "7").strip()
    assert TEXT.fullmatch(text)
    assert asked(text) == api_keys.KeyHolder("grafana", text[3:11], True, 30, 7)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(("taken",), "already exists"), (("",), "name"), (("a\nb",), "name"), (("x", "--rate", "-1"), "rate")],
)
def test_a_key_that_cannot_be_made_is_refused_by_field(arguments: tuple[str, ...], complaint: str) -> None:
    saved_key("taken", ApiKey.Scope.READ)
    with pytest.raises(CommandError, match=complaint):
        command("create_api_key", *arguments)


def test_the_database_holds_the_hash_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        text = command("create_api_key", "grafana").strip()
        asked(text)
    row = str(ApiKey.objects.values().get())
    assert text[12:] not in row and text[3:11] in row
    assert text[12:] not in caplog.text


def test_the_admin_shows_a_new_key_once_and_never_again(root: Client, caplog: pytest.LogCaptureFixture) -> None:
    add = reverse("admin:datastore_apikey_add")
    assert root.get(add).status_code == 200
    with caplog.at_level(logging.DEBUG):
        page = root.post(add, {"name": "grafana", "scope": "write", "rate": "", "budget": "5"}, follow=True)
    (text,) = TEXT.findall(page.content.decode())
    assert asked(text) == api_keys.KeyHolder("grafana", text[3:11], True, None, 5)
    key = ApiKey.objects.get()
    for name, *about in (("changelist",), ("change", key.pk), ("history", key.pk)):
        again = root.get(reverse(f"admin:datastore_apikey_{name}", args=about))
        assert again.status_code == 200
        assert text[12:] not in again.content.decode()
    assert text[12:] not in caplog.text


def test_the_admin_changes_limits_alone_and_deletes_nothing(root: Client) -> None:
    text = saved_key("grafana", ApiKey.Scope.READ)
    pk = ApiKey.objects.get().pk
    root.post(reverse("admin:datastore_apikey_change", args=[pk]), {"name": "x", "scope": "write", "rate": "9"})
    assert asked(text) == api_keys.KeyHolder("grafana", text[3:11], False, 9, None)
    assert root.post(reverse("admin:datastore_apikey_delete", args=[pk]), {"post": "yes"}).status_code == 403


def test_the_admin_revokes(root: Client) -> None:
    text = saved_key("grafana", ApiKey.Scope.READ)
    assert asked(text)
    chosen = {"action": "revoke", "_selected_action": [ApiKey.objects.get().pk]}
    question = root.post(reverse("admin:datastore_apikey_changelist"), chosen)
    assert "for good" in question.content.decode() and asked(text)
    chosen["confirmed"] = "yes"
    page = root.post(reverse("admin:datastore_apikey_changelist"), chosen, follow=True)
    assert "Revoked: grafana" in page.content.decode()
    assert asked(text) is None


@pytest.mark.parametrize("by", ["name", "prefix", "ck_prefix"])
def test_a_command_revokes_by_name_or_prefix_once(by: str) -> None:
    text = saved_key("grafana", ApiKey.Scope.READ)
    called = {"name": "grafana", "prefix": text[3:11], "ck_prefix": text[:11]}[by]
    assert "is revoked" in command("revoke_api_key", called)
    assert asked(text) is None
    with pytest.raises(CommandError, match="was revoked at"):
        command("revoke_api_key", called)


def test_revoking_an_unknown_key_says_so_without_repeating_a_secret() -> None:
    with pytest.raises(CommandError, match="no API key") as refused:
        command("revoke_api_key", "ck_abcdefgh_" + "s" * 43)
    assert "sss" not in str(refused.value)


class Clock:
    """Stands for the process's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(api_keys, "monotonic", lambda: self.now)


def test_a_key_in_use_asks_the_database_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, text = Clock(monkeypatch), saved_key("grafana", ApiKey.Scope.READ)
    assert asked(text)
    with CaptureQueriesContext(connection) as first:
        assert all(asked(text) for _ in range(100))
    assert len(first) == 0
    # Revoked by another process: this one goes on for as long as it remembers.
    ApiKey.objects.update(revoked_at=timezone.now())
    clock.now += 9.9
    assert asked(text)
    clock.now += 0.2
    assert asked(text) is None


def test_an_unknown_key_is_remembered_too_and_pushes_no_known_one_out(monkeypatch: pytest.MonkeyPatch) -> None:
    known: TTLCache[str, Any] = TTLCache(5, 60)
    unknown: TTLCache[str, Any] = TTLCache(5, 60)
    monkeypatch.setattr(api_keys, "_known", SharedCache(known))
    monkeypatch.setattr(api_keys, "_unknown", SharedCache(unknown))
    text = saved_key("grafana", ApiKey.Scope.READ)
    assert asked(text)
    invented = [api_keys.make_key("x", "read")[1] for _ in range(12)]
    assert not any(asked(one) for one in invented)
    assert (len(known), len(unknown)) == (1, 5)
    with CaptureQueriesContext(connection) as queries:
        assert asked(text) and asked(invented[-1]) is None
        assert asked("ck_short") is None  # not even looked up
    assert len(queries) == 0


def test_when_many_keys_are_in_use_only_the_one_unused_for_longest_is_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api_keys, "_known", SharedCache(TTLCache[str, Any](3, 60)))
    texts = [saved_key(f"grafana-{number}", ApiKey.Scope.READ) for number in range(4)]
    assert all(asked(text) for text in [*texts[:3], texts[0], texts[3]])
    with CaptureQueriesContext(connection) as queries:
        assert all(asked(text) for text in (texts[0], texts[2], texts[3]))
    assert len(queries) == 0
    with CaptureQueriesContext(connection) as queries:
        assert asked(texts[1])
    assert len(queries) > 0


def test_its_use_is_noted_at_most_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, text = Clock(monkeypatch), saved_key("grafana", ApiKey.Scope.READ)

    def noted() -> Any:
        clock.now += api_keys.KEY_CACHE_TTL_S
        assert asked(text)
        return ApiKey.objects.get().last_used_at

    first = noted()
    assert first is not None
    assert noted() == first
    ApiKey.objects.update(last_used_at=first - timedelta(minutes=1))
    assert noted() > first - timedelta(minutes=1)
