"""Candlekeep's settings: the only reader of the environment. A bad value stops the program with its name."""

from __future__ import annotations

from pathlib import Path

import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured

from actor_runtime.redaction import keep_secret, secrets_in
from config import kafka_settings, logs
from config.caches import NO_SERVER_URL, caches
from config.celery_settings import *  # noqa: F403 - constants, all of them settings
from config.database_settings import databases
from config.environment import choice, env, flag, given_integer, integer, markets, names, number, readable, url
from config.networks import ANY, host_of, is_loopback, networks, origin, origins
from config.provider_settings import (
    DEFAULT_MARKETS,
    LIVE_PROVIDERS,
    SIMULATED_PROVIDERS,
    default_markets,
    given_hosts,
    hosts,
)
from config.saved_addresses import saved_addresses
from config.secret_files import create_home, read_or_create_secret
from config.version import VERSION
from metering.sharing import share_counters

# Makes generic classes work at run time as mypy reads them: ModelAdmin[Market], QuerySet[Candle].
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent


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
_servers = saved_addresses(CANDLEKEEP_HOME)

# --- Candlekeep's own settings: durations in seconds unless the name says otherwise ---
HOST = env.str("HOST", default="127.0.0.1")
PORT = integer("PORT", 8000, 1, 65535)
# The one address at which clients reach API, pages and streams through a proxy; what follows from it is below.
PUBLIC_URL = origin("PUBLIC_URL", env.str("PUBLIC_URL", default=""))
PUBLIC_HOST = host_of(PUBLIC_URL)
BEHIND_TLS = PUBLIC_URL.startswith("https://")
# Where streams are served, and the URL by which readers reach that; unset: the host at which they ask the API.
SSE_PORT = integer("SSE_PORT", PORT + 1 if PORT < 65535 else PORT - 1, 1, 65535)
SSE_URL = url("SSE_URL", "", ("http", "https")).rstrip("/") or PUBLIC_URL
SIMULATOR_PORT = integer("SIMULATOR_PORT", 0, 0, 65535)  # 0: a free one, saved in the folder
VALKEY_PORT = integer("VALKEY_PORT", 0, 0, 65535)
SIMULATOR_ARGS = env.str("SIMULATOR_ARGS", default="")
# Where the providers' addresses are not set: LIVE asks the providers themselves, else the simulator plays their part.
LIVE = flag("LIVE", "LIVE" in _servers)
# Who delivers prices, in order: the first that has a venue gives a new market of it its data, for good.
_providers = LIVE_PROVIDERS if LIVE else SIMULATED_PROVIDERS
PROVIDERS = names("PROVIDERS", _servers.get("PROVIDERS", ",".join(_providers)).split(","), list(DEFAULT_MARKETS))
CRYPTOCOMPARE_REST_URL, CRYPTOCOMPARE_WS_URL = hosts("cryptocompare", _servers)
COINBASE_REST_URL, COINBASE_WS_URL = hosts("coinbase", _servers)
BINANCE_REST_URL, BINANCE_WS_URL = hosts("binance", _servers)
BINANCEUS_REST_URL, BINANCEUS_WS_URL = hosts("binanceus", _servers)
KRAKEN_REST_URL, KRAKEN_WS_URL = hosts("kraken", _servers)
OKX_REST_URL, OKX_WS_URL = hosts("okx", _servers)
OKX_IDS_PROVE = flag("OKX_IDS_PROVE", False)  # nobody has confirmed on its live feed that they have no holes
PROVIDER_ADDRESSES_GIVEN = any(any(given_hosts(provider)) for provider in PROVIDERS)
CRYPTOCOMPARE_API_KEY = env.str("CRYPTOCOMPARE_API_KEY", default="")
MARKETS = markets("MARKETS", default_markets(PROVIDERS))
GRACE = number("GRACE", 5, 0, 600)
USUAL_STALE_AFTER = 90
STALE_AFTER = number("STALE_AFTER", USUAL_STALE_AFTER, 5, 36000)
READER_QUEUE = integer("READER_QUEUE", 200_000, 100, 10_000_000)
LIVE_COPIES = integer("LIVE_COPIES", 1, 1, 4)  # live Producers that carry the same markets at once
PRODUCER_POOL = integer("PRODUCER_POOL", 4, 1, 64)  # history requests fetched at once
# Calls of a provider's REST API within any second, minute, hour, day; None: what its traits say that it allows.
PROVIDER_CALLS_PER_SECOND = given_integer("PROVIDER_CALLS_PER_SECOND", 1, 100_000)
PROVIDER_CALLS_PER_MINUTE = given_integer("PROVIDER_CALLS_PER_MINUTE", 1, 1_000_000)
PROVIDER_CALLS_PER_HOUR = given_integer("PROVIDER_CALLS_PER_HOUR", 1, 10_000_000)
PROVIDER_CALLS_PER_DAY = given_integer("PROVIDER_CALLS_PER_DAY", 1, 100_000_000)
STREAM_MAXLEN = integer("STREAM_MAXLEN", 2_000_000, 1000, 1_000_000_000)
STREAM_LEASE = number("STREAM_LEASE", 3600, 10, 2_592_000)  # how long a stream lives that is not renewed
MAX_STREAMS = integer("MAX_STREAMS", 500, 1, 100_000)  # alive at once
TICK_RETENTION_DAYS = integer("TICK_RETENTION_DAYS", 30, 1, 36500)
_database_url = url("DATABASE_URL", "", ("postgresql", "postgres"))
_redis_url = url("REDIS_URL", "", ("redis", "rediss", "unix"))
DATABASE_URL = _database_url or _servers.get("database_url", "")
REDIS_URL = _redis_url or _servers.get("redis_url", "")
_stream_url = env.str("STREAM_URL", default="").strip()
if not _stream_url.startswith("kafka://"):  # lists several servers, and holds no password
    readable("STREAM_URL", _stream_url)
STREAM_URL = _stream_url or _servers.get("stream_url", "") or REDIS_URL
# How to log in to a Kafka cluster; another shell has this, like the addresses, from the running `up`.
KAFKA_ENVIRONMENT = {name: env.str(name, default="") or _servers.get(name, "") for name in kafka_settings.NAMES}
KAFKA = kafka_settings.access(
    KAFKA_ENVIRONMENT, integer("KAFKA_REPLICATION_FACTOR", 0, 0, 100)
)  # 0: the cluster's default
ADMIN_PASSWORD = env.str("ADMIN_PASSWORD", default="")
# Who may ask, and how much: requests a minute, pages of the provider a day; 0 for no limit.
REQUIRE_API_KEY_GIVEN = bool(env.str("REQUIRE_API_KEY", default=""))
_others_reach_us = not is_loopback(HOST) or (PUBLIC_URL and not is_loopback(PUBLIC_HOST))
REQUIRE_API_KEY = flag("REQUIRE_API_KEY", False) if REQUIRE_API_KEY_GIVEN else bool(_others_reach_us)
# Where only this machine reaches us and others still do, its proxy brings them.
_local_proxy = ["127.0.0.0/8", "::1"] if BEHIND_TLS and _others_reach_us and is_loopback(HOST) else []
TRUSTED_PROXIES = networks("TRUSTED_PROXIES", env.list("TRUSTED_PROXIES", default=[]) or _local_proxy)
RATE_LIMIT_PER_ADDRESS = integer("RATE_LIMIT_PER_ADDRESS", 6_000, 0, 10_000_000)
RATE_LIMIT_PER_KEY = integer("RATE_LIMIT_PER_KEY", 60_000, 0, 10_000_000)
FETCH_BUDGET_PER_ADDRESS = integer("FETCH_BUDGET_PER_ADDRESS", 1_000, 0, 100_000_000)
FETCH_BUDGET_PER_KEY = integer("FETCH_BUDGET_PER_KEY", 3_000, 0, 100_000_000)
CORS_ORIGINS = origins("CORS_ORIGINS", env.list("CORS_ORIGINS", default=[]))
# What `up` starts itself, because the environment names no other.
EMBEDDED_DATABASE = not _database_url
EMBEDDED_VALKEY = not _redis_url
EMBEDDED_STREAM = not _stream_url  # in the same Valkey or Redis as the cache
EMBEDDED_SIMULATOR = not (LIVE or PROVIDER_ADDRESSES_GIVEN)
# The folder of shared counters, which `up` gives its children; other commands keep their counters to themselves.
METRICS_DIR: str = env.str("METRICS_DIR", default="")
METRICS_FOLDER = Path(METRICS_DIR or CANDLEKEEP_HOME / "run" / "metrics")
METRICS_REFUSAL = share_counters(Path(METRICS_DIR)) if METRICS_DIR else None
WEB_THREADS = 12  # of the web process: a third may be sending long answers, a quarter may wait for fetches
# Connections in the web process's pool; 0 (every other process): one plain connection per thread.
DATABASE_POOL = integer("DATABASE_POOL", 0, 0, 64)

# --- Django ---
SECRET_KEY = _secret_key()
DEBUG = flag("DEBUG", False)
_allowed_hosts: list[str] = env.list("ALLOWED_HOSTS", default=[])
ALLOWED_HOSTS = _allowed_hosts or ["127.0.0.1", "localhost", "[::1]", HOST]
ALLOWED_HOSTS += [PUBLIC_HOST] if PUBLIC_HOST and PUBLIC_HOST not in ALLOWED_HOSTS else []
ALLOWED_HOSTS_GIVEN = bool(_allowed_hosts or PUBLIC_URL)
INSTALLED_APPS = [
    "dashboard.apps.AdminConfig",  # Django's admin with our index
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
    "django_htmx",  # serves htmx
    "dashboard",
]
MIDDLEWARE = [
    "datastore.api.auth.forwarded_scheme.forwarded_scheme",  # before all that ask by which scheme the request came
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",  # early, so that error answers have its headers too
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.monitoring.request_timing.request_timing",
    "datastore.api.ready_candles.ready_candles",  # needs nothing of what follows
    "datastore.api.udf.ready_bars.ready_bars",  # nor does this
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.page_policy.PagePolicy",
    "datastore.api.auth.audit_log.AuditLog",
]
ROOT_URLCONF = "config.urls"
# What the stream process pushes to our own pages beside what they follow: what writes it, and seconds between two.
PAGE_PARTS = {"markets": ("dashboard.pushed.markets", 10.0), "chart": ("dashboard.pushed.chart", 3.0)}
WSGI_APPLICATION = "config.wsgi.application"

# What follows from PUBLIC_URL; with https a proxy speaks TLS and says so in a header, which forwarded_scheme believes
# of proxies only.
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_SSL_HOST = PUBLIC_URL.removeprefix("https://") if BEHIND_TLS else None
# Monitors ask on this machine or in its network, without TLS.
SECURE_REDIRECT_EXEMPT = ["^health/", "^metrics$"]
# 30 days. On loopback it would bind every other server that this browser finds there.
SECURE_HSTS_SECONDS = 2_592_000 if BEHIND_TLS and not is_loopback(PUBLIC_HOST) else 0
# Whether the names below this one speak TLS too, and whether browsers may list it for good, is for the owner of the
# domain to say: a proxy can send that header. Everything else that `check --deploy` asks for is set.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"] if BEHIND_TLS else []
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
FORMAT_MODULE_PATH = "config.formats"  # of times in lists of users and schedules, which Django's admin writes
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "dashboard.wheel_files.WheelFinder",
]
WHITENOISE_USE_FINDERS = True  # serves files from where they are installed: no collectstatic
# What a page may load: nothing from another host, no script or style written into it. Pages that follow a stream add
# its server; the API's documentation says its own.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    },
    "EXCLUDE_URL_PREFIXES": ["/api/", "/udf/", "/binance/", "/health/", "/metrics"],
}
LOGIN_URL = "/sign-in"
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
CORS_ALLOW_HEADERS += ["x-mbx-apikey"]
CORS_EXPOSE_HEADERS = ["ETag", "Link", "Location", "Retry-After", "WWW-Authenticate"]
CORS_EXPOSE_HEADERS += ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy"]
CORS_EXPOSE_HEADERS += [f"Candlekeep-{name}" for name in ("Complete", "Watermark", "Cursor", "Gaps", "Request")]
CORS_EXPOSE_HEADERS += ["X-MBX-USED-WEIGHT", "X-MBX-USED-WEIGHT-1M"]

DATABASES = databases(DATABASE_URL, CANDLEKEEP_HOME, DATABASE_POOL)
CACHES = caches(REDIS_URL)

# --- Celery: what of it follows from the settings above; the rest is the same everywhere ---
CELERY_BROKER_URL = REDIS_URL or NO_SERVER_URL
CELERY_TIMEZONE = TIME_ZONE
# Room for all fetches, three long schedules, a short one, and a topic that a stream waits for.
CELERY_WORKER_CONCURRENCY = PRODUCER_POOL + 5

# --- Logs and error pages ---
DEFAULT_EXCEPTION_REPORTER = "config.error_pages.RedactedReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "config.error_pages.RedactedSettings"
LOG_FORMAT = choice("LOG_FORMAT", "text", ("text", "json"))
LOG_LEVEL = choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
logs.configure()
keep_secret([CRYPTOCOMPARE_API_KEY, ADMIN_PASSWORD, SECRET_KEY, KAFKA.sasl_password])
for _address in (DATABASE_URL, REDIS_URL, STREAM_URL):
    keep_secret(secrets_in(_address))
for _provider in DEFAULT_MARKETS:
    for _address in hosts(_provider, _servers):
        keep_secret(secrets_in(_address))
LOGGING = logs.logging_settings(LOG_FORMAT, LOG_LEVEL)
