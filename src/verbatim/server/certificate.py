"""A certificate that this machine signs itself, for clients that are told to trust it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from verbatim.domain.errors import BadRequestError

LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
DEFAULT_DAYS: Final = 825
"""The longest that Apple's systems accept (support article HT210176)."""
MAX_DAYS: Final = 36_500
CLOCK_SKEW: Final = timedelta(hours=1)
"""Clients whose clock is a little behind accept it at once."""
MAX_COMMON_NAME_CHARS: Final = 64
LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
MAX_NAME_CHARS: Final = 253
WILDCARD: Final = "*."


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key.

    Attributes:
        certificate: PEM.
        key: PEM, PKCS #8, without a password.
        names: for which it holds.
        fingerprint: SHA-256 of the certificate, `AB:CD:…`, to compare by eye.
        until: its last moment.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    names: tuple[str, ...]
    fingerprint: str
    until: datetime


def make_certificate(names: Iterable[str], days: int, now: datetime) -> Certificate:
    """A new pair: ECDSA on P-256, which every client of these years knows.

    Args:
        names: host names and addresses under which clients reach the server; the first is shown.
        days: how long it holds.
        now: the time, aware of its zone.

    Raises:
        BadRequestError: no names, one that is none, or a number of days that makes no sense.
    """
    wanted = tuple(dict.fromkeys(name.strip().rstrip(".") for name in names))
    if not wanted:
        raise BadRequestError("A certificate needs a name to hold for.", param="names")
    if not 1 <= days <= MAX_DAYS:
        raise BadRequestError(f"Give a number of days from 1 to {MAX_DAYS}.", param="days")
    general = [_general_name(name) for name in wanted]
    key = ec.generate_private_key(ec.SECP256R1())
    shown = wanted[0][:MAX_COMMON_NAME_CHARS]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, shown)])
    until = now + timedelta(days=days)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (
        (x509.SubjectAlternativeName(general), False),
        # An authority for itself alone: systems let users trust nothing else.
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (usage, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(until)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    made = builder.sign(key, hashes.SHA256())
    return Certificate(
        made.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        wanted,
        made.fingerprint(hashes.SHA256()).hex(":").upper(),
        until,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        pass
    try:
        ascii_name = name.encode("ascii").decode() if name.isascii() else _punycode(name)
    except UnicodeError as error:
        raise _no_name(name) from error
    labels = ascii_name.removeprefix(WILDCARD).split(".")
    if len(ascii_name) > MAX_NAME_CHARS or not all(map(LABEL.fullmatch, labels)):
        raise _no_name(name)
    return x509.DNSName(ascii_name)


def _punycode(name: str) -> str:
    return name.encode("idna").decode("ascii")


def _no_name(name: str) -> BadRequestError:
    return BadRequestError(
        f"{name[:80]!r} is neither a host name nor an address. Give what clients write, such as "
        "speech.example.org or 192.168.1.20.",
        param="names",
    )
