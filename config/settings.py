"""Candlekeep's settings: the only reader of the environment. A bad value stops the program with its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ
from django.core.exceptions import ImproperlyConfigured

from actor_runtime.redaction import keep_secret
from config import kafka_settings, logs
from config.caches import caches
from config.environment import choice, env, flag, integer, markets, number, url
from config.networks import ANY, is_loopback, networks, origins
from config.secret_files import create_home, is_locked, read_or_create_secret
from config.version import VERSION
from metering.sharing import share_counters

# Makes generic classes work at run time as mypy reads them: ModelAdmin[Market], QuerySet[Candle].
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent


def _saved_addresses() -> dict[str, str]:
    """Return the addresses that a running `manage.py up` saved for its home's commands."""
    if not is_locked(CANDLEKEEP_HOME / "run" / "lock"):
        return {}  # nothing runs: a file there is from a start that was killed
    try:
        addresses: dict[str, str] = json.loads((CANDLEKEEP_HOME / "run" / "servers.json").read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"CANDLEKEEP_HOME/run/servers.json cannot be read: {error}.") from None
    return addresses


def _secret_key() -> str:
    if given := env.str("SECRET_KEY", default=""):
        return str(given)
    try:
        create_home(CANDLEKEEP_HOME)
        return read_or_create_secret(CANDLEKEEP_HOME / "run" / "secret.key")
    except OSError as error:
        raise ImproperlyConfigured(
            f"CANDLEKEEP_HOME={CANDLEKEEP_HOME} cannot be written: {error.strerror}. Set CANDLEKEEP_HOME to a folder "
            "of yours."
        ) from None


CANDLEKEEP_HOME = Path(env.str("CANDLEKEEP_HOME", default="") or BASE_DIR / ".candlekeep").expanduser().absolute()
_servers = _saved_addresses()

# --- Candlekeep's own settings: durations in seconds unless the name says otherwise ---
HOST = env.str("HOST", default="127.0.0.1")
PORT = integer("PORT", 8000, 1, 65535)
# Where streams are served, and the URL by which readers reach that; unset: the host at which they ask the API.
SSE_PORT = integer("SSE_PORT", PORT + 1 if PORT < 65535 else PORT - 1, 1, 65535)
SSE_URL = url("SSE_URL", "", ("http", "https")).rstrip("/")
SIMULATOR_PORT = integer("SIMULATOR_PORT", 0, 0, 65535)  # 0: a free one, saved in the folder
VALKEY_PORT = integer("VALKEY_PORT", 0, 0, 65535)
SIMULATOR_ARGS = env.str("SIMULATOR_ARGS", default="")
_rest_url = url("CRYPTOCOMPARE_REST_URL", "", ("http", "https"))
_ws_url = url("CRYPTOCOMPARE_WS_URL", "", ("ws", "wss"))
CRYPTOCOMPARE_REST_URL = _rest_url or _servers.get("rest_url", "")
CRYPTOCOMPARE_WS_URL = _ws_url or _servers.get("ws_url", "")
CRYPTOCOMPARE_API_KEY = env.str("CRYPTOCOMPARE_API_KEY", default="")
MARKETS = markets("MARKETS", ["coinbase:BTC-USD", "coinbase:ETH-USD", "kraken:BTC-EUR"])
GRACE = number("GRACE", 5, 0, 600)
USUAL_STALE_AFTER = 90
STALE_AFTER = number("STALE_AFTER", USUAL_STALE_AFTER, 5, 36000)
READER_QUEUE = integer("READER_QUEUE", 200_000, 100, 10_000_000)
PRODUCER_POOL = integer("PRODUCER_POOL", 4, 1, 64)  # history requests fetched at once
# Calls of the provider's REST API within any second, minute, hour, day: a little below CryptoCompare's own limits.
PROVIDER_CALLS_PER_SECOND = integer("PROVIDER_CALLS_PER_SECOND", 15, 1, 100_000)
PROVIDER_CALLS_PER_MINUTE = integer("PROVIDER_CALLS_PER_MINUTE", 280, 1, 1_000_000)
PROVIDER_CALLS_PER_HOUR = integer("PROVIDER_CALLS_PER_HOUR", 2_900, 1, 10_000_000)
PROVIDER_CALLS_PER_DAY = integer("PROVIDER_CALLS_PER_DAY", 7_000, 1, 100_000_000)
STREAM_MAXLEN = integer("STREAM_MAXLEN", 2_000_000, 1000, 1_000_000_000)
STREAM_LEASE = number("STREAM_LEASE", 3600, 10, 2_592_000)  # how long a stream lives that is not renewed
MAX_STREAMS = integer("MAX_STREAMS", 500, 1, 100_000)  # alive at once
TICK_RETENTION_DAYS = integer("TICK_RETENTION_DAYS", 30, 1, 36500)
_database_url = url("DATABASE_URL", "", ("postgresql", "postgres"))
_redis_url = url("REDIS_URL", "", ("redis", "rediss", "unix"))
DATABASE_URL = _database_url or _servers.get("database_url", "")
REDIS_URL = _redis_url or _servers.get("redis_url", "")
STREAM_URL = env.str("STREAM_URL", default="") or _servers.get("stream_url", "") or REDIS_URL
# How to log in to a Kafka cluster; another shell has this, like the addresses, from the running `up`.
KAFKA_ENVIRONMENT = {name: env.str(name, default="") or _servers.get(name, "") for name in kafka_settings.NAMES}
KAFKA = kafka_settings.access(
    KAFKA_ENVIRONMENT, integer("KAFKA_REPLICATION_FACTOR", 0, 0, 100)
)  # 0: the cluster's default
ADMIN_PASSWORD = env.str("ADMIN_PASSWORD", default="")
# Who may ask, and how much: requests a minute, pages of the provider a day; 0 for no limit.
REQUIRE_API_KEY_GIVEN = bool(env.str("REQUIRE_API_KEY", default=""))
REQUIRE_API_KEY = flag("REQUIRE_API_KEY", False) if REQUIRE_API_KEY_GIVEN else not is_loopback(HOST)
TRUSTED_PROXIES = networks("TRUSTED_PROXIES", env.list("TRUSTED_PROXIES", default=[]))
RATE_LIMIT_PER_ADDRESS = integer("RATE_LIMIT_PER_ADDRESS", 6_000, 0, 10_000_000)
RATE_LIMIT_PER_KEY = integer("RATE_LIMIT_PER_KEY", 60_000, 0, 10_000_000)
FETCH_BUDGET_PER_ADDRESS = integer("FETCH_BUDGET_PER_ADDRESS", 1_000, 0, 100_000_000)
FETCH_BUDGET_PER_KEY = integer("FETCH_BUDGET_PER_KEY", 3_000, 0, 100_000_000)
CORS_ORIGINS = origins("CORS_ORIGINS", env.list("CORS_ORIGINS", default=[]))
# What `up` starts itself, because the environment names no other.
EMBEDDED_DATABASE = not _database_url
EMBEDDED_VALKEY = not _redis_url
EMBEDDED_STREAM = not env.str("STREAM_URL", default="")  # in the same Valkey or Redis as the cache
EMBEDDED_SIMULATOR = not (_rest_url or _ws_url)
# The folder of shared counters, which `up` gives its children; other commands keep their counters to themselves.
METRICS_DIR: str = env.str("METRICS_DIR", default="")
METRICS_REFUSAL = share_counters(Path(METRICS_DIR)) if METRICS_DIR else None
# Connections in the web process's pool; 0 (every other process): one plain connection per thread.
DATABASE_POOL = integer("DATABASE_POOL", 0, 0, 64)

# --- Django ---
SECRET_KEY = _secret_key()
DEBUG = flag("DEBUG", False)
_allowed_hosts: list[str] = env.list("ALLOWED_HOSTS", default=[])
ALLOWED_HOSTS = _allowed_hosts or ["127.0.0.1", "localhost", "[::1]", HOST]
ALLOWED_HOSTS_GIVEN = bool(_allowed_hosts)
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "corsheaders",
    "drf_spectacular",
    "drf_spectacular_sidecar",  # the files of the API's documentation page
    "django_celery_beat",
    "actor_runtime",
    "datastore",
    "coordination",
    "ingestion",
    "consumers",
    "config",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",  # early, so that error answers have its headers too
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.monitoring.request_timing.request_timing",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "datastore.api.auth.audit_log.AuditLog",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # serves files from where they are installed: no collectstatic
REST_FRAMEWORK = {
    "UNAUTHENTICATED_USER": None,
    # Every view is guarded unless it says otherwise: see docs/api.md, "Keys and limits".
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "datastore.api.auth.permissions.ApiKeyAuthentication",
        "datastore.api.auth.permissions.StaffSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["datastore.api.auth.permissions.ReadOrWritePermission"],
    "DEFAULT_THROTTLE_CLASSES": ["datastore.api.auth.throttle.RateLimit"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "datastore.api.responses.json_response.JsonAlways",
    "EXCEPTION_HANDLER": "datastore.api.responses.problem.exception_handler",
    "URL_FORMAT_OVERRIDE": None,  # `format` is a parameter of candles, not DRF's
    "DEFAULT_SCHEMA_CLASS": "datastore.api.openapi.document.TableSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Candlekeep",
    "VERSION": VERSION,
    "DESCRIPTION": "History and live trades of crypto markets as one provably continuous candle series.",
    "OAS_VERSION": "3.1.1",
    "SORT_OPERATIONS": "datastore.api.openapi.document.in_order",
    "POSTPROCESSING_HOOKS": ["datastore.api.openapi.document.with_components"],
}
# Which web pages may read the API. Keys are sent in headers, so cookies are not allowed.
CORS_ALLOW_ALL_ORIGINS = CORS_ORIGINS == [ANY]
CORS_ALLOWED_ORIGINS = [] if CORS_ALLOW_ALL_ORIGINS else CORS_ORIGINS
CORS_URLS_REGEX = r"^/(api|udf|binance)/"
CORS_ALLOW_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "if-none-match", "last-event-id", "x-api-key"]
CORS_EXPOSE_HEADERS = ["ETag", "Location", "Retry-After", "WWW-Authenticate"]
CORS_EXPOSE_HEADERS += ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy"]
CORS_EXPOSE_HEADERS += [f"Candlekeep-{name}" for name in ("Complete", "Watermark", "Cursor", "Gaps")]


def _database() -> dict[str, Any]:
    # So that `up` and `check` work before there is a server; manage.py says how to start one.
    absent = {"NAME": "candlekeep", "USER": "postgres", "HOST": str(CANDLEKEEP_HOME / "postgres"), "PORT": "5432"}
    parts: dict[str, Any] = environ.Env.db_url_config(DATABASE_URL) if DATABASE_URL else absent
    options = parts.setdefault("OPTIONS", {})
    for name in ("host", "port"):
        parts[name.upper()] = options.pop(name, parts[name.upper()])
    options["connect_timeout"] = 5
    options["application_name"] = "candlekeep"
    if DATABASE_POOL:
        options["pool"] = {"min_size": 1, "max_size": DATABASE_POOL, "timeout": 5}
    # A pooled connection may be older than the server behind it: check it before use.
    return parts | {"ENGINE": "config.database", "CONN_HEALTH_CHECKS": bool(DATABASE_POOL)}


DATABASES = {"default": _database()}
CACHES = caches(REDIS_URL)

# --- Celery: jobs and schedules ---
CELERY_BROKER_URL = REDIS_URL or "redis://127.0.0.1:1/0"
CELERY_TASK_DEFAULT_QUEUE = "candlekeep"
CELERY_TASK_IGNORE_RESULT = True  # a job's result is in its rows
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULER = "coordination.steady_scheduler:SteadyScheduler"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a broker that is down comes back: never give up
# A sender of tasks has its own delays for a broker that is down: kombu tries twice at once, then gives up.
_RETRIES = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
_TIMEOUTS = {"socket_connect_timeout": 2, "socket_timeout": 5, "socket_keepalive": True}
CELERY_BROKER_TRANSPORT_OPTIONS = {**_TIMEOUTS, **_RETRIES}
# Room for all fetches, three long schedules, a short one, and a topic that a stream waits for.
CELERY_WORKER_CONCURRENCY = PRODUCER_POOL + 5
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Cancels only tasks that are acknowledged late; a fetch holds its request by a lease and goes on.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # not needed: state is in the rows

# --- Logs ---
LOG_FORMAT = choice("LOG_FORMAT", "text", ("text", "json"))
LOG_LEVEL = choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
logs.configure()
keep_secret([CRYPTOCOMPARE_API_KEY, ADMIN_PASSWORD, SECRET_KEY, KAFKA.sasl_password])
LOGGING = logs.logging_settings(LOG_FORMAT, LOG_LEVEL)
