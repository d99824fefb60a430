"""settings.py reads the environment strictly: a bad value stops with its name and the fix."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from config.supervision.home import claim_home
from tests.support import forked_python

pytestmark = pytest.mark.slow

CLEAN = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}}


def manage(*arguments: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return forked_python.run("manage.py", *arguments, env={**CLEAN, "CANDLEKEEP_HOME": str(home), **env})


def setting(name: str, home: Path, **env: str) -> object:
    code = f"import json; from config import settings; print(json.dumps(settings.{name}, default=str))"
    done = forked_python.run("-c", code, env={**CLEAN, "CANDLEKEEP_HOME": str(home), **env})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("PORT", "http", "between 1 and 65535"),
        ("PORT", "70000", "between 1 and 65535"),
        ("PORT", "80.5", "whole number"),
        ("DEBUG", "perhaps", "1 or 0"),
        ("LOG_FORMAT", "xml", "text, json"),
        ("MARKETS", "coinbase:BTCUSD", "coinbase:BTC-USD"),
        ("MARKETS", ",", "at least one market"),
        ("DATABASE_URL", "mysql://root:hidden@localhost/x", "postgresql://"),
        ("DATABASE_URL", "postgresql://me:half/hidden@localhost/x", "%2F"),
        ("REDIS_URL", "redis://:hidden#half@localhost:6379/0", "%23"),
        ("REDIS_URL", "redis://:12?hidden@localhost:6379/0", "%3F"),
        ("STREAM_URL", "redis://:hidden@half@localhost:6379/0", "%40"),
        ("CRYPTOCOMPARE_WS_URL", "wss://host:hidden/v2", "port"),
        ("SSE_PORT", "0", "between 1 and 65535"),
        ("SSE_URL", "candles.example.org", "https://"),
        ("PUBLIC_URL", "candles.example.org", "https://candles.example.org"),
        ("PUBLIC_URL", "https://candles.example.org/api", "no path"),
        ("PUBLIC_URL", "https://*.example.org", "wildcard"),
        ("PUBLIC_URL", "https://user:hidden@candles.example.org", "https://candles.example.org"),
        ("PUBLIC_URL", "https://candles.example.org:hidden", "between 1 and 65535"),
        ("PUBLIC_URL", "https://", "https://candles.example.org"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("CRYPTOCOMPARE_REST_URL", "min-api.cryptocompare.com", "https://"),
        ("REQUIRE_API_KEY", "perhaps", "1 or 0"),
        ("RATE_LIMIT_PER_KEY", "-1", "between 0"),
        ("TRUSTED_PROXIES", "10.0.0.5,proxy", "10.0.0.5"),
        ("CORS_ORIGINS", "charts.example.org", "https://charts.example.org"),
        ("CORS_ORIGINS", "https://charts.example.org/", "without a path"),
        ("CORS_ORIGINS", "*,https://charts.example.org", "CORS_ORIGINS=*"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI", "SCRAM-SHA-512"),
        ("KAFKA_REPLICATION_FACTOR", "three", "between 0 and 100"),
    ],
)
def test_a_bad_value_stops_with_one_line_that_names_its_setting_and_the_fix(
    tmp_path: Path, name: str, value: str, fix: str
) -> None:
    done = manage("check", home=tmp_path, **{name: value})
    assert done.returncode == 1
    assert done.stderr.startswith("Settings: ") and done.stderr.count("\n") == 1
    assert name in done.stderr and fix in done.stderr
    assert "hidden" not in done.stderr


def test_markets_may_have_any_name_that_a_provider_lists(tmp_path: Path) -> None:
    names = ["mexc:币安人生-USDT", "mexc:$WIF-USDT", "mexc:EDG*-USDT"]
    assert setting("MARKETS", tmp_path, MARKETS=",".join(names)) == names


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = manage("check", home=tmp_path / "file" / "home")
    assert done.returncode == 1
    assert "CANDLEKEEP_HOME" in done.stderr and "Traceback" not in done.stderr


def test_a_command_that_needs_the_database_says_to_start_candlekeep_first(tmp_path: Path) -> None:
    done = manage("createsuperuser", "--noinput", home=tmp_path)
    assert done.returncode == 1
    assert "not running" in done.stderr and "make run" in done.stderr and str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_does_not_answer_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    done = manage("showmigrations", home=tmp_path, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode == 1
    assert "does not answer" in done.stderr and "DATABASE_URL" in done.stderr and "Traceback" not in done.stderr


def test_commands_take_the_addresses_of_a_running_start_and_the_environment_goes_first(tmp_path: Path) -> None:
    claimed = claim_home(tmp_path)
    try:
        (tmp_path / "run" / "servers.json").write_text('{"redis_url": "redis://127.0.0.1:7/0"}')
        assert setting("REDIS_URL", tmp_path) == "redis://127.0.0.1:7/0"
        assert setting("STREAM_URL", tmp_path) == "redis://127.0.0.1:7/0"
        assert setting("EMBEDDED_VALKEY", tmp_path) is True
        assert setting("REDIS_URL", tmp_path, REDIS_URL="redis://elsewhere:1/0") == "redis://elsewhere:1/0"
    finally:
        os.close(claimed)


def test_addresses_left_by_a_killed_start_are_not_believed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "servers.json").write_text('{"redis_url": "redis://127.0.0.1:7/0"}')
    assert setting("REDIS_URL", tmp_path) == ""


def test_a_kafka_cluster_is_known_with_its_password_to_commands_beside_a_running_start(tmp_path: Path) -> None:
    env = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "me", "KAFKA_REPLICATION_FACTOR": "3"}
    told = str(setting("KAFKA", tmp_path, **env, KAFKA_SASL_PASSWORD="hidden"))
    assert "SASL_SSL" in told and "replication_factor=3" in told and "hidden" not in told
    claimed = claim_home(tmp_path)
    try:
        (tmp_path / "run" / "servers.json").write_text('{"KAFKA_SASL_PASSWORD": "left"}')
        assert setting("KAFKA.sasl_password", tmp_path) == "left"
        assert setting("KAFKA.sasl_password", tmp_path, KAFKA_SASL_PASSWORD="given") == "given"
    finally:
        os.close(claimed)


def test_the_secret_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first = setting("SECRET_KEY", tmp_path)
    assert isinstance(first, str) and len(first) >= 50
    assert setting("SECRET_KEY", tmp_path) == first
    assert (tmp_path / "run" / "secret.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("env", "required"),
    [
        ({}, False),
        ({"HOST": "::1"}, False),
        ({"HOST": "10.0.0.5"}, True),
        ({"HOST": "10.0.0.5", "REQUIRE_API_KEY": ""}, True),
        ({"HOST": "10.0.0.5", "REQUIRE_API_KEY": "0"}, False),
        ({"REQUIRE_API_KEY": "1"}, True),
        ({"PUBLIC_URL": "https://candles.example.org"}, True),
        ({"PUBLIC_URL": "http://localhost:8000"}, False),
        ({"PUBLIC_URL": "https://candles.example.org", "REQUIRE_API_KEY": "0"}, False),
    ],
)
def test_reading_needs_a_key_where_others_reach_us_unless_it_is_said(
    tmp_path: Path, env: dict[str, str], required: bool
) -> None:
    assert setting("REQUIRE_API_KEY", tmp_path, **env) is required


def test_streams_are_served_beside_the_api_unless_it_is_said_where(tmp_path: Path) -> None:
    assert setting("SSE_PORT", tmp_path, PORT="9000") == 9001
    assert setting("SSE_PORT", tmp_path, PORT="65535") == 65534
    assert setting("SSE_URL", tmp_path, SSE_URL="https://candles.example.org/") == "https://candles.example.org"


def test_a_public_address_by_https_sets_hosts_cookies_redirects_and_streams(tmp_path: Path) -> None:
    names = "ALLOWED_HOSTS SSE_URL CSRF_TRUSTED_ORIGINS SESSION_COOKIE_SECURE CSRF_COOKIE_SECURE SECURE_SSL_HOST"

    def found(**env: str) -> dict[str, object]:
        return {name: setting(name, tmp_path, **env) for name in names.split()}

    public = found(PUBLIC_URL=" HTTPS://Candles.Example.org:443/ ")
    assert "candles.example.org" in public.pop("ALLOWED_HOSTS")  # type: ignore[operator]
    assert public == {
        "SSE_URL": "https://candles.example.org",
        "CSRF_TRUSTED_ORIGINS": ["https://candles.example.org"],
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SECURE_SSL_HOST": "candles.example.org",
    }
    inside = found(PUBLIC_URL="http://localhost:8000", ALLOWED_HOSTS="10.0.0.5")
    assert inside["ALLOWED_HOSTS"] == ["10.0.0.5", "localhost"]
    assert (inside["SSE_URL"], inside["SESSION_COOKIE_SECURE"]) == ("http://localhost:8000", False)
    assert setting("ALLOWED_HOSTS", tmp_path, PUBLIC_URL="https://[2001:db8::1]:8443")[-1] == "[2001:db8::1]"  # type: ignore[index]
    elsewhere = setting("SSE_URL", tmp_path, PUBLIC_URL="https://a.example", SSE_URL="https://b.example")
    assert elsewhere == "https://b.example"


def test_a_proxy_of_the_same_machine_is_trusted_if_it_brings_others_by_https(tmp_path: Path) -> None:
    public = "https://candles.example.org"
    assert setting("TRUSTED_PROXIES", tmp_path, PUBLIC_URL=public) == ["127.0.0.0/8", "::1/128"]
    assert setting("TRUSTED_PROXIES", tmp_path, PUBLIC_URL=public, HOST="10.0.0.5") == []
    assert setting("TRUSTED_PROXIES", tmp_path, PUBLIC_URL=public, TRUSTED_PROXIES="10.0.0.6") == ["10.0.0.6/32"]
    assert setting("TRUSTED_PROXIES", tmp_path, PUBLIC_URL="https://localhost") == []


def test_the_check_for_deployment_has_nothing_to_say_if_the_public_address_is_https(tmp_path: Path) -> None:
    done = manage("check", "--deploy", home=tmp_path, PUBLIC_URL="https://candles.example.org")
    assert done.returncode == 0 and "no issues" in done.stdout + done.stderr, done.stderr
    open_to_all = manage("check", "--deploy", home=tmp_path)
    for name in ("SECURE_HSTS_SECONDS", "SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"):
        assert name in open_to_all.stderr, "without TLS it is said"


def test_pages_and_proxies_are_read_as_lists(tmp_path: Path) -> None:
    assert setting("CORS_ALLOW_ALL_ORIGINS", tmp_path, CORS_ORIGINS="*") is True
    listed = "https://a.example, http://localhost:3000"
    assert setting("CORS_ALLOWED_ORIGINS", tmp_path, CORS_ORIGINS=listed) == listed.split(", ")
    networks = setting("TRUSTED_PROXIES", tmp_path, TRUSTED_PROXIES="10.0.0.5, fd00::/8")
    assert networks == ["10.0.0.5/32", "fd00::/8"]


def test_only_a_process_that_is_told_so_keeps_a_pool(tmp_path: Path) -> None:
    url = "postgresql://u:p%40ss@db.example.org:5433/candles"
    plain = setting("DATABASES", tmp_path, DATABASE_URL=url)["default"]  # type: ignore[index]
    pooled = setting("DATABASES", tmp_path, DATABASE_URL=url, DATABASE_POOL="8")["default"]  # type: ignore[index]
    assert (plain["HOST"], str(plain["PORT"]), plain["PASSWORD"]) == ("db.example.org", "5433", "p@ss")
    assert "pool" not in plain["OPTIONS"]
    assert pooled["OPTIONS"]["pool"]["max_size"] == 8
