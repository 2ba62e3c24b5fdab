"""How the page's files are served: to whom, how compressed, with which rules for the browser."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from verbatim.server.web import NONCE, Page, accepts_html, page_routes

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
SCRIPT = b"console.log('words')"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "page" / "deep").mkdir(parents=True)
    (tmp_path / "index.html").write_text(f'<meta name="csp-nonce" content="{NONCE}">')
    (tmp_path / "secret.txt").write_text("not below /page")
    (tmp_path / "page" / "app-1a2b.js").write_bytes(SCRIPT)
    (tmp_path / "page" / "app-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT))
    (tmp_path / "page" / "app-1a2b.js.br").write_bytes(b"as brotli")
    (tmp_path / "page" / "deep" / "style-3c.css").write_text("p {}")
    return tmp_path


def client_of(page: Page | None) -> TestClient:
    async def programs(_: Request) -> JSONResponse:
        return JSONResponse({"message": "for programs"})

    return TestClient(Starlette(routes=[*page_routes(page), Route("/", programs)]))


@pytest.fixture
def client(folder: Path) -> TestClient:
    return client_of(Page.read(folder))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/html", True),
        ("application/json, TEXT/HTML;q=0.5", True),
        (BROWSER["accept"], True),
        ("*/*", False),
        ("", False),
        ("application/json", False),
        ("text/html;q=0", False),
        ("text/html;q=nonsense", False),
    ],
)
def test_who_reads_html(accept: str, expected: bool) -> None:
    assert accepts_html(Headers({"accept": accept})) is expected


def test_browsers_get_the_page_and_programs_what_there_was(client: TestClient) -> None:
    page = client.get("/", headers=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["vary"] == "accept"
    assert client.get("/", headers={"accept": "*/*"}).json() == {"message": "for programs"}
    assert client.head("/", headers=BROWSER).status_code == 200


def test_each_answer_has_a_nonce_of_its_own(client: TestClient) -> None:
    pages = [client.get("/", headers=BROWSER) for _ in range(2)]
    nonces = [page.text.partition('content="')[2].partition('"')[0] for page in pages]
    assert len(set(nonces)) == 2
    for page, nonce in zip(pages, nonces, strict=True):
        assert f"style-src 'self' 'nonce-{nonce}'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"


def test_the_rules_let_no_inline_script_and_no_other_host_in(client: TestClient) -> None:
    policy = client.get("/", headers=BROWSER).headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "*" not in policy


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip, br", "br"), ("gzip", "gzip"), ("br;q=0, gzip", "gzip"), ("identity", None)],
)
def test_assets_are_compressed_beforehand(
    folder: Path, accepted: str, encoding: str | None
) -> None:
    page = Page.read(folder)
    assert page is not None
    with client_of(page).stream(
        "GET", "/page/app-1a2b.js", headers={"accept-encoding": accepted}
    ) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == encoding
    asset = page.assets["app-1a2b.js"]
    assert raw == (asset.encoded[encoding] if encoding else SCRIPT)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["vary"] == "accept-encoding"
    assert "immutable" in answer.headers["cache-control"]


def test_assets_in_folders(client: TestClient) -> None:
    answer = client.get("/page/deep/style-3c.css")
    assert answer.text == "p {}"
    assert answer.headers["content-type"] == "text/css; charset=utf-8"


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "deep/../../secret.txt",
        "//etc/passwd",
        "deep",
        "app-1a2b.js.gz",
        "",
    ],
)
def test_nothing_else_can_be_asked_for(client: TestClient, name: str) -> None:
    assert client.get(f"/page/{name}").status_code == 404


def test_without_a_build_the_server_says_how_to_make_one(tmp_path: Path) -> None:
    assert Page.read(tmp_path) is None
    client = client_of(None)
    answer = client.get("/", headers=BROWSER)
    assert "make web" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert client.get("/page/app-1a2b.js").status_code == 404
