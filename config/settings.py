"""Candlekeep's settings: the only reader of the environment. A bad value stops with its name."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import environ
import structlog
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def _number(name: str, default: float, low: float, high: float) -> float:
    raw = env.str(name, default=str(default))
    try:
        value = float(raw)
    except ValueError:
        raise ImproperlyConfigured(
            f"{name}={raw!r} is not a number. Set {name} between {low:g} and {high:g}."
        ) from None
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name}={raw!r} is out of range. Set {name} between {low:g} and {high:g}.")
    return value


def _flag(name: str, default: bool) -> bool:
    raw = env.str(name, default="1" if default else "0").lower()
    if raw not in {"1", "0", "true", "false", "yes", "no", "on", "off", ""}:
        raise ImproperlyConfigured(f"{name}={raw!r} is neither yes nor no. Set {name} to 1 or 0.")
    return raw in {"1", "true", "yes", "on"}


def _choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    value: str = env.str(name, default=default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} is unknown. Set {name} to one of: {', '.join(choices)}.")
    return value


def _embedded() -> dict[str, Any]:
    """Return the addresses that a running `manage.py up` left for its home's commands."""
    path = CANDLEKEEP_HOME / "run" / "servers.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _secret_key() -> str:
    if key := env.str("SECRET_KEY", default=""):
        return str(key)
    path = CANDLEKEEP_HOME / "run" / "secret.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text().strip()


CANDLEKEEP_HOME = Path(env.str("CANDLEKEEP_HOME", default=str(BASE_DIR / ".candlekeep"))).absolute()
_servers = _embedded()

# --- Candlekeep's own settings: spans in seconds unless the name says otherwise ---
HOST = env.str("HOST", default="127.0.0.1")
PORT = int(_number("PORT", 8000, 1, 65535))
SIMULATOR_PORT = int(_number("SIMULATOR_PORT", 0, 0, 65535))  # 0: a free one, kept in the folder
VALKEY_PORT = int(_number("VALKEY_PORT", 0, 0, 65535))
SIMULATOR_ARGS = env.str("SIMULATOR_ARGS", default="")
CRYPTOCOMPARE_REST_URL = env.str("CRYPTOCOMPARE_REST_URL", default=_servers.get("rest_url", ""))
CRYPTOCOMPARE_WS_URL = env.str("CRYPTOCOMPARE_WS_URL", default=_servers.get("ws_url", ""))
CRYPTOCOMPARE_API_KEY = env.str("CRYPTOCOMPARE_API_KEY", default="")
MARKETS = env.list("MARKETS", default=["coinbase:BTC-USD", "coinbase:ETH-USD", "kraken:BTC-EUR"])
PRODUCER_POOL = int(_number("PRODUCER_POOL", 4, 1, 64))
GRACE = _number("GRACE", 5, 0, 600)
STALE_AFTER = _number("STALE_AFTER", 90, 5, 36000)
READER_QUEUE = int(_number("READER_QUEUE", 200_000, 100, 10_000_000))
STREAM_MAXLEN = int(_number("STREAM_MAXLEN", 2_000_000, 1000, 1_000_000_000))
LATE_WINDOW = _number("LATE_WINDOW", 3600, 0, 864000)
TICK_RETENTION_DAYS = int(_number("TICK_RETENTION_DAYS", 30, 1, 36500))
DATABASE_URL = env.str("DATABASE_URL", default=_servers.get("database_url", ""))
REDIS_URL = env.str("REDIS_URL", default=_servers.get("redis_url", ""))
STREAM_URL = env.str("STREAM_URL", default=REDIS_URL)

# --- Django ---
SECRET_KEY = _secret_key()
DEBUG = _flag("DEBUG", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]", HOST])
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "actors",
    "datastore",
    "coordination",
    "ingestion",
    "consumers",
    "config",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
STATIC_ROOT = CANDLEKEEP_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}


def _database() -> dict[str, Any]:
    if not DATABASE_URL:
        # No server yet: `up` and `check` still work; a query names the fix (config/checks.py).
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "candlekeep",
            "HOST": str(CANDLEKEEP_HOME / "postgres"),
        }
    parts: dict[str, Any] = environ.Env.db_url_config(DATABASE_URL)
    if "postgresql" not in parts["ENGINE"]:
        raise ImproperlyConfigured("DATABASE_URL must begin with postgresql://")
    options = parts.setdefault("OPTIONS", {})
    parts["HOST"] = options.pop("host", parts["HOST"])
    options["connect_timeout"] = 5
    options["application_name"] = "candlekeep"
    return parts


DATABASES = {"default": _database()}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL or "redis://127.0.0.1:1/0",
        "KEY_PREFIX": "ck",
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 2, "SOCKET_TIMEOUT": 5},
    }
}

# --- Logs ---
LOG_FORMAT = _choice("LOG_FORMAT", "text", ("text", "json"))
LOG_LEVEL = _choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
_shared: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_renderer: Any = (
    structlog.processors.JSONRenderer() if LOG_FORMAT == "json" else structlog.dev.ConsoleRenderer(colors=False)
)
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_shared,
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "event": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer],
            "foreign_pre_chain": _shared,
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "event"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
}
