"""Structured logs: one JSON object a line on standard error. Callers log hashes, counts and sizes, never text."""

import logging
import sys

import structlog


def configure_logging(level: int = logging.INFO) -> None:
    """Sets the format for this process; call once at start."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
