"""Structured logs: one JSON object a line on standard error. Callers log hashes, counts and sizes, never text."""

import logging
import sys
from typing import Any

import structlog

from frag.telemetry_settings import TelemetrySettings


def configure_logging(settings: TelemetrySettings | None = None) -> None:
    """Sets format and level for this process; call once at start."""
    settings = settings or TelemetrySettings()
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _renderer(settings.log_format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Libraries()], level=max(level, logging.WARNING), force=True)


def _renderer(log_format: str) -> Any:  # noqa: ANN401 - structlog's own processors
    if log_format == "console":
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer()


class _Libraries(logging.Handler):
    """What libraries log, in the same form: where and what kind of error, never the message, which may quote a text."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        structlog.get_logger().log(
            record.levelno,
            "library",
            logger=record.name,
            where=f"{record.module}:{record.lineno}",
            error=error.__name__ if error else "",
        )
