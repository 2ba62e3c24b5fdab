"""Certificates of one's own, and which settings of encryption are refused."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from verbatim.cli.main import app
from verbatim.domain.errors import BadRequestError, UnavailableError
from verbatim.server.certificate import Certificate, make_certificate
from verbatim.server.listeners import SecureListeners, listen, open_listeners
from verbatim.server.tls import check_tls, tls_context
from verbatim.settings import Settings

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture(name="made", scope="module")
def _made() -> Certificate:
    return make_certificate(["localhost", "127.0.0.1", "::1"], 30, datetime.now(UTC))


@pytest.fixture(name="pair")
def _pair(made: Certificate, tmp_path: Path) -> tuple[Path, Path]:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(made.certificate)
    key.write_bytes(made.key)
    return cert, key


class TestCertificate:
    def test_it_holds_for_its_names(self) -> None:
        names = ["speech.example.org", "*.example.org", "10.0.0.7", "[::1]", "bücher.example"]
        made = make_certificate([*names, "10.0.0.7"], 90, NOW)
        parsed = x509.load_pem_x509_certificate(made.certificate)
        held = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert held.get_values_for_type(x509.DNSName) == [
            "speech.example.org",
            "*.example.org",
            "xn--bcher-kva.example",
        ]
        addresses = held.get_values_for_type(x509.IPAddress)
        assert addresses == [ipaddress.ip_address("10.0.0.7"), ipaddress.ip_address("::1")]
        assert parsed.not_valid_after_utc == NOW + timedelta(days=90) == made.until
        assert parsed.not_valid_before_utc <= NOW
        assert len(made.fingerprint.split(":")) == 32
        assert made.key.decode() not in repr(made)

    @pytest.mark.parametrize(
        "names",
        [
            [],
            [""],
            ["a b"],
            ["-a.example"],
            ["a..b"],
            ["a" * 64],
            [".".join(["abc"] * 80)],
            ["http://a.example/"],
            ["\ud800"],
            ["a\x00b"],
            ["*"],
            ["a.*.b"],
        ],
    )
    def test_what_is_no_name(self, names: list[str]) -> None:
        with pytest.raises(BadRequestError):
            make_certificate(names, 30, NOW)

    @pytest.mark.parametrize("days", [0, -1, 10**6])
    def test_days_that_make_no_sense(self, days: int) -> None:
        with pytest.raises(BadRequestError, match="days"):
            make_certificate(["localhost"], days, NOW)

    @pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
    async def test_a_client_that_trusts_it_connects(
        self, pair: tuple[Path, Path], name: str
    ) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            await handshake(pair, "127.0.0.1", ssl.create_default_context())
        trusting = ssl.create_default_context(cafile=pair[0])
        # As the newest Python has it by itself.
        trusting.verify_flags |= ssl.VERIFY_X509_STRICT
        assert await handshake(pair, name, trusting) in {"TLSv1.3", "TLSv1.2"}

    async def test_not_for_another_name(self, pair: tuple[Path, Path]) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match=r"other\.example"):
            await handshake(pair, "other.example", ssl.create_default_context(cafile=pair[0]))


async def handshake(pair: tuple[Path, Path], name: str, client: ssl.SSLContext) -> str:
    """Connect; says by which protocol."""
    (listener,) = listen("127.0.0.1", 0)
    secure = SecureListeners([listener], tls_context(*pair))
    (server,) = await secure.serve(asyncio.Protocol)
    async with server:
        port = listener.getsockname()[1]
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client, server_hostname=name
        )
        version: str = writer.get_extra_info("ssl_object").version()
        writer.close()
        await writer.wait_closed()
        return version


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"tls_port": 1}, "tls_port is set, and tls_cert is not: .* `verbatim cert`"),
            ({"tls_key": "key.pem"}, "tls_key is set, and tls_cert is not"),
        ],
    )
    def test_that_do_not_fit_together(self, settings: dict[str, Any], words: str) -> None:
        with pytest.raises(BadRequestError, match=words):
            check_tls(Settings(**settings))

    def test_one_port_or_two(self, pair: tuple[Path, Path]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as once_free:
            port = once_free.getsockname()[1]
        base: dict[str, Any] = {"tls_cert": pair[0], "tls_key": pair[1]}
        cases = [
            (Settings(**base, port=0), (0, 1)),
            (Settings(**base, port=0, tls_port=0), (1, 1)),
            (Settings(**base, port=port, tls_port=port), (0, 1)),
            (Settings(port=0), (1, 0)),
        ]
        for settings, counts in cases:
            with open_listeners(settings) as listeners:
                secure = listeners.secure.sockets if listeners.secure else ()
                assert (len(listeners.plain), len(secure)) == counts
                assert all(listener.fileno() >= 0 for listener in (*listeners.plain, *secure))
            assert all(listener.fileno() == -1 for listener in (*listeners.plain, *secure))

    def test_a_port_in_use_is_named(self, pair: tuple[Path, Path]) -> None:
        (taken,) = listen("127.0.0.1", 0)
        with taken, pytest.raises(UnavailableError, match=r"--host and --tls-port"):
            open_listeners(
                Settings(
                    port=0,
                    tls_port=taken.getsockname()[1],
                    tls_cert=pair[0],
                    tls_key=pair[1],
                )
            )

    def test_a_pair_in_one_file(self, pair: tuple[Path, Path]) -> None:
        both = pair[0].with_name("both.pem")
        both.write_bytes(pair[0].read_bytes() + pair[1].read_bytes())
        assert tls_context(both, None).minimum_version >= ssl.TLSVersion.TLSv1_2

    def test_files_that_are_not_there(self, pair: tuple[Path, Path]) -> None:
        for name, chosen in (
            ("tls_cert", (Path("no.pem"), pair[1])),
            ("tls_key", (pair[0], Path("no.pem"))),
        ):
            with pytest.raises(BadRequestError, match=f"{name} is no.pem, which cannot be read"):
                tls_context(*chosen)

    def test_files_that_are_no_pair(self, pair: tuple[Path, Path], made: Certificate) -> None:
        other = make_certificate(["localhost"], 1, NOW)
        locked = serialization.load_pem_private_key(made.key, None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        wrong = pair[1].with_name("wrong.pem")
        for content in (other.key, locked, b"", b"\x00", made.certificate):
            wrong.write_bytes(content)
            with pytest.raises(BadRequestError, match="without a password"):
                tls_context(pair[0], wrong)


class TestCommand:
    def test_it_writes_a_pair(self, tmp_path: Path) -> None:
        folder = tmp_path / "new"
        result = CliRunner().invoke(app, ["cert", "speech.example", "-o", str(folder)])
        assert result.exit_code == 0, result.stderr
        cert, key = (Path(line) for line in result.stdout.splitlines())
        assert {"speech.example", "localhost", "127.0.0.1"} <= set(
            result.stderr.splitlines()[0].removeprefix("It holds for ").split(", ")
        )
        assert "--tls-cert" in result.stderr
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        tls_context(cert, key)

    def test_it_does_not_write_over_one(self, tmp_path: Path) -> None:
        arguments = ["cert", "-o", str(tmp_path), "--json"]
        first = json.loads(CliRunner().invoke(app, arguments).stdout)
        again = CliRunner().invoke(app, arguments)
        assert again.exit_code == 2
        assert "already there" in again.stderr
        forced = json.loads(CliRunner().invoke(app, [*arguments, "--force"]).stdout)
        assert set(first) == {"certificate", "key", "names", "sha256", "until"}
        assert first["sha256"] != forced["sha256"]

    def test_where_nothing_can_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        result = CliRunner().invoke(app, ["cert", "-o", str(tmp_path / "file")])
        assert result.exit_code == 1
        assert result.stderr.startswith("error: The certificate cannot be written")
