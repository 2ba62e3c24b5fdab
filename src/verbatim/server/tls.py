"""Encryption: which settings belong together, and the certificate."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from verbatim.domain.errors import BadRequestError
from verbatim.settings import Settings

ALPN: Final = ("http/1.1",)
HOW_TO_MAKE: Final = "`verbatim cert` makes a pair for this machine."


def check_tls(settings: Settings) -> None:
    """Refuse settings that do not belong together.

    Raises:
        BadRequestError: which one, and what is missing.
    """
    if settings.tls_cert is None and (settings.tls_port is not None or settings.tls_key):
        named = "tls_port" if settings.tls_port is not None else "tls_key"
        raise BadRequestError(
            f"{named} is set, and tls_cert is not: give the certificate with --tls-cert and its "
            f"key with --tls-key. {HOW_TO_MAKE}",
            param="tls_cert",
        )


def tls_context(cert: Path, key: Path | None) -> ssl.SSLContext:
    """The server's side of TLS 1.2 and 1.3.

    Args:
        cert: the certificate, PEM, with those that lead to its authority behind it.
        key: its private key, PEM; None where it is in the certificate's file.

    Raises:
        BadRequestError: a file that cannot be read, or is no such thing.
    """
    for name, path in (("tls_cert", cert), ("tls_key", key)):
        if path is not None:
            _check_readable(name, path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(list(ALPN))
    try:
        # Without a password given, a key that has one would ask for it on the terminal.
        context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError) as error:
        where = f"{cert} and {key}" if key else f"{cert}"
        raise BadRequestError(
            f"The server cannot use {where}: a certificate and the key that belongs to it are "
            f"needed, both PEM and without a password. {HOW_TO_MAKE} ({_reason(error)})",
            param="tls_cert",
        ) from error
    return context


def _check_readable(name: str, path: Path) -> None:
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise BadRequestError(
            f"{name} is {path}, which cannot be read: {error.strerror}. {HOW_TO_MAKE}", param=name
        ) from error


def _reason(error: ssl.SSLError | ValueError) -> str:
    reason = getattr(error, "reason", None) or str(error)
    return str(reason).lower().replace("_", " ")
