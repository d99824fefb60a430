"""Log lines: an event and its fields, as text or as one JSON object, with secrets removed."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import structlog

from actor_runtime.redaction import REDACTED, names_a_secret, without_secrets

SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
log = structlog.get_logger(__name__)


def configure() -> None:
    """Make structlog pass its events to the logging module, where the libraries' lines arrive too."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED_PROCESSORS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logging_settings(log_format: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING: every line to stderr, in one format."""
    # Celery logs two lines for every scheduled task, which would bury our own.
    quiet = {"level": "DEBUG" if level == "DEBUG" else "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"event": {"()": "config.logs.formatter", "log_format": log_format}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "event"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": dict.fromkeys(("celery", "kombu", "amqp"), quiet),
    }


def formatter(log_format: str) -> logging.Formatter:
    """Return the formatter of every line, ours and the libraries'; log_format is `text` or `json`."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        # Plain tracebacks: the rich ones print local variables, which may hold a key.
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact_secrets,
            renderer,
        ],
        foreign_pre_chain=SHARED_PROCESSORS,
    )


def redact_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Replace passwords and keys in every field."""
    return _redacted_fields(event)


def _redacted_fields(event: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): REDACTED if names_a_secret(str(key)) else _redacted(value) for key, value in event.items()}


def _redacted(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, dict):
        return _redacted_fields(value)
    if isinstance(value, list | tuple):
        return [_redacted(inner) for inner in value]
    return without_secrets(value if isinstance(value, str) else repr(value))


def log_uncaught_errors() -> None:
    """Log uncaught exceptions and warnings as lines like all others."""
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def print_uncaught_errors() -> None:
    """Print uncaught exceptions as Python does, without secrets."""
    sys.excepthook = _print_uncaught
    threading.excepthook = lambda args: _print_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _print_uncaught(kind: type[BaseException], exc: BaseException | None, trace: TracebackType | None) -> None:
    print(without_secrets("".join(traceback.format_exception(kind, exc, trace))), file=sys.stderr, end="")


def _log_uncaught(kind: type[BaseException], exc: BaseException | None, trace: TracebackType | None) -> None:
    log.critical("nobody caught this", exc_info=(kind, exc, trace))
