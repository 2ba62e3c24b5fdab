"""Structured logs: every logger of the process, ours and the libraries', through one pipe."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping, Sequence
from logging.handlers import RotatingFileHandler
from typing import Any, TextIO

import structlog
from structlog.types import Processor, WrappedLogger

from verbatim.domain.errors import UnavailableError
from verbatim.settings import Settings

QUIET_LOGGERS = {
    "httpx": logging.WARNING,
    "python_multipart": logging.ERROR,
    "alembic": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "psycopg": logging.WARNING,
    "uvicorn.error": logging.WARNING,
}
"""What these tell at lower levels is noise, or holds what is secret: uvicorn tells WebSockets'
addresses and headers. Their errors reach the caller as exceptions."""


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all logs where the settings say: text on a terminal, one JSON object a line otherwise.

    Args:
        settings: level, format, file and rotation.
        stream: where to write when no file is set; standard error if None.

    Raises:
        UnavailableError: the log file cannot be written.
    """
    target = stream or sys.stderr
    handler = _handler(settings, target)
    terminal = settings.log_file is None and target.isatty()
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and terminal)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared_processors(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(as_text=as_text, colors=terminal),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    for name, level in QUIET_LOGGERS.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _handler(settings: Settings, stream: TextIO) -> logging.Handler:
    if settings.log_file is None:
        return logging.StreamHandler(stream)
    try:
        settings.log_file.parent.mkdir(parents=True, exist_ok=True)
        return RotatingFileHandler(
            settings.log_file,
            maxBytes=settings.log_file_bytes,
            backupCount=settings.log_files - 1,
            encoding="utf-8",
        )
    except OSError as error:
        raise UnavailableError(
            f"The log cannot be written to {settings.log_file}: {error.strerror}. Set log_file to "
            "a place that can be written to."
        ) from error


def _shared_processors() -> Sequence[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        _without_colored_copy,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _without_colored_copy(
    logger: WrappedLogger, name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Uvicorn tells its messages twice, once with colors."""
    del logger, name
    event.pop("color_message", None)
    return event


def _renderers(*, as_text: bool, colors: bool) -> Sequence[Processor]:
    if as_text:
        # Not the default formatter: it shows variables, and so what users said.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
