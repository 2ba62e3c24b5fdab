"""`verbatim cert`."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from verbatim.cli.console import new_app, print_json, say
from verbatim.domain.errors import BadRequestError, UnavailableError
from verbatim.server.certificate import (
    DEFAULT_DAYS,
    LOCAL_NAMES,
    MAX_COMMON_NAME_CHARS,
    Certificate,
    make_certificate,
)

CERT_NAME: Final = "verbatim-cert.pem"
KEY_NAME: Final = "verbatim-key.pem"
CERT_MODE: Final = 0o644
KEY_MODE: Final = 0o600

app = new_app()


@app.command()
def cert(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Further names and addresses under which clients reach this machine.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--folder", "-o", help="Where the two files go.", metavar="PATH")
    ] = Path(),
    days: Annotated[int, typer.Option(help="How long it holds.", metavar="N")] = DEFAULT_DAYS,
    force: Annotated[
        bool, typer.Option("--force", help="Write over files that are there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a certificate that this machine signs itself, for HTTPS and WSS.

    It holds for localhost, this machine's name and its address, and for the names that are given.
    Clients have to be told to trust it: most take the certificate's file for that.
    """
    made = make_certificate((*(names or ()), *own_names()), days, datetime.now(UTC))
    paths = folder / CERT_NAME, folder / KEY_NAME
    _write(paths, made, force=force)
    if as_json:
        print_json(
            {
                "certificate": str(paths[0]),
                "key": str(paths[1]),
                "names": made.names,
                "sha256": made.fingerprint,
                "until": made.until.isoformat(timespec="seconds"),
            }
        )
        return
    typer.echo(f"{paths[0]}\n{paths[1]}")
    say(
        f"It holds for {', '.join(made.names)}, until {made.until:%Y-%m-%d}.\n"
        f"SHA-256: {made.fingerprint}\n"
        f"Serve with it: verbatim serve --tls-port 8443 --tls-cert {paths[0]} --tls-key {paths[1]}"
    )


def own_names() -> tuple[str, ...]:
    """Under which this machine is reached from itself and, most likely, from its network."""
    host = socket.gethostname()
    found = [name for name in (host, _address()) if name and len(name) <= MAX_COMMON_NAME_CHARS]
    return tuple(dict.fromkeys((*LOCAL_NAMES, *found)))


def _address() -> str | None:
    """That from which this machine would speak to others; nothing is sent to find out."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # TEST-NET-1 (RFC 5737): belongs to nobody, and lies beyond the default gateway.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _write(paths: tuple[Path, Path], made: Certificate, *, force: bool) -> None:
    """Write both files, the key for nobody else to read.

    Raises:
        BadRequestError: there are such files already.
        UnavailableError: they cannot be written.
    """
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise BadRequestError(
            f"{' and '.join(there)}: already there. Clients may trust it; to have another "
            "nevertheless, say --force, or choose another --folder."
        )
    content: Sequence[tuple[Path, bytes, int]] = (
        (paths[0], made.certificate, CERT_MODE),
        (paths[1], made.key, KEY_MODE),
    )
    try:
        for path, data, mode in content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
    except OSError as error:
        raise UnavailableError(
            f"The certificate cannot be written to {paths[0].parent}: {error.strerror}."
        ) from error
