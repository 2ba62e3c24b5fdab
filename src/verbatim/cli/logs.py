"""Logs of commands that print results: on standard error, and only what matters."""

from __future__ import annotations

from verbatim.server.logs import configure_logging
from verbatim.settings import Settings


def configure_quiet_logging(settings: Settings) -> None:
    """The settings' logging, as text and from warnings on where they do not say otherwise."""
    quiet = {"log_level": "warning"} if settings.log_level == "info" else {}
    text = {"log_format": "text"} if settings.log_format == "auto" else {}
    configure_logging(settings.model_copy(update=quiet | text))
