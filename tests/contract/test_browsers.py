"""What a hostile page in a browser may do to a server that it can reach and that asks for no key.

Nothing: not by forms, not by scripts, not on WebSockets, not under a name that leads here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.error_shapes import message_of
from tests.support.live_server import SPEECH, LiveServer, live_server
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from verbatim.domain.errors import ForbiddenError
from verbatim.server.browsers import check_name
from verbatim.server.web import BROWSER_HEADERS

EVIL = "https://evil.example"
GOOD = "https://app.example"
SOCKETS = ("/v1/live", "/v1/listen", "/v1/realtime?intent=transcription", "/ws/transcribe")
UNCHANGING = {"get", "head", "options"}
FOREIGN = (
    {"origin": EVIL},
    {"origin": "null"},
    {"origin": "http://[bad"},
    {"origin": EVIL, "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server")) as server:
        yield server


def operations(server: LiveServer) -> list[tuple[str, str]]:
    """Every method and path of the API, with something in the place of names."""
    with server.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    return [
        (method, path.replace("{", "").replace("}", ""))
        for path, methods in paths.items()
        for method in methods
    ]


def handshake(server: LiveServer, path: str, **headers: str) -> httpx.Response | None:
    """The refusal, if it is one; `host` is sent as it is."""
    url = server.url.replace("http", "ws", 1)
    try:
        with connect(url + path, additional_headers=headers, open_timeout=20):
            return None
    except InvalidStatus as refused:
        answer = refused.response
        return httpx.Response(answer.status_code, content=bytes(answer.body or b""))


class TestPagesOfOtherSites:
    def test_change_nothing_on_any_route(self, server: LiveServer) -> None:
        changing = [(m, path) for m, path in operations(server) if m not in UNCHANGING]
        assert len(changing) > 15
        with server.client() as client:
            for method, path in changing:
                for headers in FOREIGN:
                    answer = client.request(method, path, headers=headers)
                    assert answer.status_code == 403, (method, path, headers)
                    assert message_of(path, answer.json())
                    assert "access-control-allow-origin" not in answer.headers
        assert server.engine.windows == []

    def test_send_no_recording_in_a_form(self, server: LiveServer) -> None:
        with server.client() as client:
            answer = client.post(
                "/v1/audio/transcriptions",
                files={"file": SPEECH.read_bytes()},
                headers={"origin": EVIL},
            )
        assert answer.json()["error"]["code"] == "origin_not_allowed"
        assert server.engine.windows == []

    @pytest.mark.parametrize("path", SOCKETS)
    def test_open_no_websocket(self, server: LiveServer, path: str) -> None:
        for origin in (EVIL, "null", "http://[bad", server.url + ".evil.example"):
            refusal = handshake(server, path, origin=origin)
            assert refusal is not None
            assert refusal.status_code == 403
        assert handshake(server, path) is None
        assert handshake(server, path, origin=server.url) is None

    def test_read_nothing(self, server: LiveServer) -> None:
        with server.client() as client:
            for method, path in operations(server):
                if method != "get":
                    continue
                answer = client.get(path, headers={"origin": EVIL})
                assert not [name for name in answer.headers if name.startswith("access-control")]
                # Neither as a script or an image, which asks for no leave.
                assert answer.headers["cross-origin-resource-policy"] == "same-origin"
                assert answer.headers["x-content-type-options"] == "nosniff"

    def test_are_not_asked_in_advance_with_success(self, server: LiveServer) -> None:
        with server.client() as client:
            for method, path in operations(server):
                asked = {"origin": EVIL, "access-control-request-method": method.upper()}
                answer = client.options(path, headers=asked)
                assert answer.status_code in {404, 405}, path
                assert "access-control-allow-origin" not in answer.headers

    def test_are_harmless_where_keys_are_asked_for(self, tmp_path: Path) -> None:
        """Nothing is a cookie, so a page has no key but its own; one that has one is served."""
        key = "a-key-of-the-page"
        page, files = {"origin": EVIL}, {"file": SPEECH.read_bytes()}
        with live_server(tmp_path, api_key=key) as server, server.client(headers=page) as client:
            path = "/stt/transcribe"
            assert client.post(path, files=files).status_code == 401
            assert client.post(path, files=files, headers={"x-api-key": key}).status_code == 200


class TestProgramsAndOwnPages:
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"origin": "{own}"},
            {"origin": "{own}", "sec-fetch-site": "same-origin"},
            # Behind a proxy that changes the host.
            {"origin": "https://stt.example.org", "sec-fetch-site": "same-origin"},
            {"sec-fetch-site": "none"},
            # Node.js.
            {"sec-fetch-mode": "cors", "accept-language": "*"},
        ],
    )
    def test_are_served(self, server: LiveServer, headers: dict[str, str]) -> None:
        sent = {name: value.format(own=server.url) for name, value in headers.items()}
        with server.client() as client:
            answer = client.post("/stt/clear-memory", headers=sent)
        assert answer.status_code == 200


class TestNames:
    """A site may have its own name lead to this machine; browsers then take it for the same."""

    @pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/docs", "/page/x", "/nothing"])
    def test_a_name_of_others_is_refused(self, server: LiveServer, path: str) -> None:
        with server.client() as client:
            answer = client.get(path, headers={"host": "evil.example:8000"})
        assert answer.status_code == 403
        assert "allowed_hosts" in message_of(path, answer.json())

    @pytest.mark.parametrize("path", SOCKETS)
    def test_also_on_websockets(self, server: LiveServer, path: str) -> None:
        port = int(server.url.rpartition(":")[2])
        name = f"evil.example:{port}"
        with (
            socket.create_connection(("127.0.0.1", port), 20) as connection,
            pytest.raises(InvalidStatus) as refused,
        ):
            connect(
                f"ws://{name}{path}",
                sock=connection,
                additional_headers={"origin": f"http://{name}"},
            )
        assert refused.value.response.status_code == 403

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1:8000",
            "192.168.1.20",
            "[::1]:8000",
            "[::1]",
            "localhost:8000",
            "LOCALHOST.",
            "verbatim.localhost",
            "verbatim:8000",
            "box.local",
            "host.docker.internal:8000",
            "stt.home.arpa",
            "",
        ],
    )
    def test_names_that_only_local_networks_have(self, host: str) -> None:
        check_name(host, frozenset())

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:8000",
            "127.0.0.1.nip.io",
            "a.b:c",
            "evil.example:",
            "evil.example:80:80",
        ],
    )
    def test_names_that_anybody_may_have(self, host: str) -> None:
        with pytest.raises(ForbiddenError):
            check_name(host, frozenset())

    @pytest.mark.parametrize(
        ("settings", "status"),
        [
            ({}, 403),
            ({"allowed_hosts": ["stt.example.org"]}, 200),
            ({"allowed_hosts": ["STT.example.org."]}, 200),
            ({"allowed_hosts": ["*"]}, 200),
            ({"allowed_hosts": ["other.example.org"]}, 403),
            ({"auth": "on"}, 200),
            ({"auth": "on", "allowed_hosts": ["other.example.org"]}, 403),
        ],
    )
    def test_the_operator_says_which(
        self, tmp_path: Path, settings: dict[str, Any], status: int
    ) -> None:
        with live_server(tmp_path, **settings) as server, server.client() as client:
            answer = client.get("/health", headers={"host": "stt.example.org"})
        assert answer.status_code == status


class TestOriginsThatAreAllowed:
    def test_are_asked_in_advance_on_every_route(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, cors_origins=[GOOD.upper() + "/"]) as server,
            server.client() as client,
        ):
            for method, path in operations(server):
                asked = {
                    "access-control-request-method": method.upper(),
                    "access-control-request-headers": "authorization,content-type,x-api-key",
                }
                answer = client.options(path, headers=asked | {"origin": GOOD})
                assert answer.status_code == 200, path
                assert answer.headers["access-control-allow-origin"] == GOOD
                assert "access-control-allow-credentials" not in answer.headers
                assert "x-api-key" in answer.headers["access-control-allow-headers"]
                evil = client.options(path, headers=asked | {"origin": EVIL})
                assert "access-control-allow-origin" not in evil.headers
            posted = client.post("/stt/clear-memory", headers={"origin": GOOD})
            assert posted.status_code == 200
            assert posted.headers["vary"].lower() == "origin"
            assert client.post("/stt/clear-memory", headers={"origin": EVIL}).status_code == 403
            assert handshake(server, "/v1/live", origin=GOOD) is None

    def test_all_of_them_is_never_with_credentials(self, tmp_path: Path) -> None:
        key = "a-key-of-the-page"
        with (
            live_server(tmp_path, cors_origins=["*"], api_key=key) as server,
            server.client() as client,
        ):
            asked = {"origin": EVIL, "cookie": "a=b", "authorization": f"Bearer {key}"}
            answer = client.get("/v1/models", headers=asked)
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] in {"*", EVIL}
            assert "access-control-allow-credentials" not in answer.headers

    def test_all_of_them_administer_nothing_on_an_open_server(self, tmp_path: Path) -> None:
        with (
            live_server(tmp_path, cors_origins=["*"], no_auth=True) as server,
            server.client() as client,
        ):
            page = {"origin": EVIL}
            assert client.post("/stt/clear-memory", headers=page).status_code == 200
            answer = client.delete("/v1/server/models/tiny", headers=page)
            assert answer.status_code in {401, 403}


class TestHeaders:
    @pytest.mark.parametrize("path", ["/", "/docs", "/page/nothing"])
    def test_of_what_browsers_show(self, server: LiveServer, path: str) -> None:
        with server.client() as client:
            answer = client.get(path, headers={"accept": "text/html"})
        for name in BROWSER_HEADERS.keys() - {"permissions-policy", "cross-origin-opener-policy"}:
            assert answer.headers[name] == BROWSER_HEADERS[name]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]

    def test_none_tells_what_serves(self, server: LiveServer) -> None:
        with server.client() as client:
            for path in ("/", "/health", "/nothing", "/v1/models", "/metrics"):
                answer = client.get(path)
                assert not {"server", "x-powered-by"} & set(answer.headers)
