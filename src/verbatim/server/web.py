"""The page for browsers: the files that `make web` built, and what a browser may do with them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

INDEX: Final = "index.html"
ASSETS: Final = "page"
"""The folder of the build, and of the address, that holds all but the index."""
NONCE: Final = "{{nonce}}"
"""What the index says where the nonce of each answer goes."""
NONCE_BYTES: Final = 16
ENCODINGS: Final[Mapping[str, str]] = MappingProxyType({"br": ".br", "gzip": ".gz"})
"""Best first, with the ending of the file that the build compressed so."""
MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
"""Not those of the machine, which may say that JavaScript is plain text."""
OTHER_MEDIA_TYPE: Final = "application/octet-stream"
FOR_EVER: Final = "public, max-age=31536000, immutable"
"""Names of assets hold a hash of their content (RFC 8246)."""
BROWSER_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "permissions-policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
)
NOT_BUILT: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><title>Verbatim</title></head><body>'
    "<h1>Verbatim is running</h1>"
    "<p>The page is not built. Install Node.js 18 or newer, run <code>make web</code> in the "
    "checkout, and start the server again. Packages from <code>pip</code> contain the page.</p>"
    '<p>The API works without it: see <a href="docs">its description</a>.</p></body></html>'
)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page; `encoded` holds what the build compressed, by content encoding."""

    media_type: str
    content: bytes
    encoded: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Page:
    """The built page, in memory: what is not in `assets` cannot be asked for.

    Attributes:
        index: the document, with NONCE where the nonce goes.
        assets: by name below `/page/`.
    """

    index: str
    assets: Mapping[str, Asset]

    @classmethod
    def read(cls, folder: Path) -> Page | None:
        """The page in a folder that `make web` wrote; None where it did not."""
        index = folder / INDEX
        if not index.is_file():
            return None
        files = (path for path in (folder / ASSETS).rglob("*") if path.is_file())
        assets = {
            path.relative_to(folder / ASSETS).as_posix(): _asset(path)
            for path in files
            if path.suffix not in ENCODINGS.values()
        }
        return cls(index.read_text(encoding="utf-8"), MappingProxyType(assets))


class _BrowserRoute(Route):
    """Taken only where the client says that it reads HTML; programs at `/` get JSON."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or not accepts_html(Headers(scope=scope)):
            return Match.NONE, {}
        return super().matches(scope)


def bundled_folder() -> Path:
    """Where the build leaves the page within the package."""
    return Path(str(resources.files("verbatim"))) / "web" / "dist"


def page_routes(page: Page | None) -> list[BaseRoute]:
    """`/` for browsers, and the assets; to be added before all other routes.

    Args:
        page: None: a word on how to build it is served in its place.
    """

    async def index(_: Request) -> Response:
        nonce = secrets.token_urlsafe(NONCE_BYTES)
        body = NOT_BUILT if page is None else page.index.replace(NONCE, nonce)
        headers = {
            **BROWSER_HEADERS,
            "content-security-policy": content_security_policy(nonce),
            "cache-control": "no-store",
            "vary": "accept",
        }
        return HTMLResponse(body, headers=headers)

    async def asset(request: Request) -> Response:
        found = page.assets.get(request.path_params["name"]) if page else None
        if found is None:
            return Response("There is no such file.", 404, media_type="text/plain")
        return _served(found, request.headers.get("accept-encoding", ""))

    return [
        _BrowserRoute("/", index, methods=["GET"], include_in_schema=False),
        Route(f"/{ASSETS}/{{name:path}}", asset, methods=["GET"], include_in_schema=False),
    ]


def content_security_policy(nonce: str) -> str:
    """What the page may load: its own files, this server, and recordings in memory.

    Args:
        nonce: of the style that the waveform puts into its shadow tree.
    """
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": f"'self' 'nonce-{nonce}'",
        "img-src": "'self'",
        "media-src": "'self' blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def accepts_html(headers: Headers) -> bool:
    """Whether `Accept` names HTML itself, as that of every browser does."""
    wanted = dict(_weighted(headers.get("accept", "")))
    return wanted.get("text/html", 0.0) > 0


def _served(asset: Asset, accept_encoding: str) -> Response:
    wanted = dict(_weighted(accept_encoding))
    headers = {**BROWSER_HEADERS, "cache-control": FOR_EVER, "vary": "accept-encoding"}
    for encoding, content in asset.encoded.items():
        if wanted.get(encoding, 0.0) > 0:
            headers["content-encoding"] = encoding
            return Response(content, media_type=asset.media_type, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def _asset(path: Path) -> Asset:
    media_type = MEDIA_TYPES.get(path.suffix, OTHER_MEDIA_TYPE)
    beside = {name: path.with_name(path.name + end) for name, end in ENCODINGS.items()}
    encoded = {name: file.read_bytes() for name, file in beside.items() if file.is_file()}
    return Asset(media_type, path.read_bytes(), MappingProxyType(encoded))


def _weighted(header: str) -> Iterator[tuple[str, float]]:
    """The entries of an `Accept…` header with their weights (RFC 9110, 12.4.2)."""
    for entry in header.lower().split(","):
        value, *parameters = (part.strip() for part in entry.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, given = parameter.partition("=")
            if name.strip() == "q":
                try:
                    weight = float(given)
                except ValueError:
                    weight = 0.0
        if value:
            yield value, weight
