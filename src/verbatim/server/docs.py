"""/openapi.json, and /docs: the same as plain HTML that needs nothing from elsewhere."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from html import escape
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from verbatim.wire.json_body import JSON_TYPE

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
h2 { margin-top: 2.5rem; font-size: 1.1rem; border-top: 1px solid #ddd; padding-top: 1rem; }
code { font: 14px ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid #eee; }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #161616; }
  h2, td, th { border-color: #333; } a { color: #8bf; } }
"""
_STYLE_HASH: Final = b64encode(sha256(STYLE.encode()).digest()).decode()
DOCS_CSP: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

Schema = Mapping[str, Any]


class _KnownRoute(Route):
    """Its path is told in logs and metrics, as those of FastAPI's routes are."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        if match is not Match.NONE:
            child_scope["route"] = self
        return match, child_scope


def description_routes(describe: Callable[[], Mapping[str, Any]]) -> list[BaseRoute]:
    """`/openapi.json` and `/docs`: the longest answers that anybody may have, so made ready once.

    Args:
        describe: the OpenAPI description of the application, once all its routes are there.
    """

    def write() -> tuple[Response, Response]:
        described = describe()
        text = json.dumps(described, ensure_ascii=False)
        page = docs_page(described)
        return (
            Response(text, media_type=JSON_TYPE),
            HTMLResponse(page, headers={"content-security-policy": DOCS_CSP}),
        )

    @cache
    def written() -> asyncio.Future[tuple[Response, Response]]:
        # In a thread, because it takes long enough for others to notice.
        return asyncio.ensure_future(asyncio.to_thread(write))

    async def openapi(_: Request) -> Response:
        answer, _page = await asyncio.shield(written())
        return answer

    async def docs(_: Request) -> Response:
        _description, answer = await asyncio.shield(written())
        return answer

    return [
        _KnownRoute("/openapi.json", openapi, methods=["GET"], include_in_schema=False),
        _KnownRoute("/docs", docs, methods=["GET"], include_in_schema=False),
    ]


def docs_page(openapi: Mapping[str, Any]) -> str:
    """The page for an OpenAPI 3 description."""
    info = openapi["info"]
    parts = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info.get('description', ''))}</p>",
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>',
    ]
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            parts += _operation(f"{method.upper()} {path}", operation, openapi)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def _operation(title: str, operation: Schema, openapi: Schema) -> Iterator[str]:
    yield f"<h2><code>{escape(title)}</code></h2>"
    yield f"<p>{escape(operation.get('description') or operation.get('summary') or '')}</p>"
    rows = [
        (parameter["name"], _kind(parameter.get("schema", {}), openapi), parameter)
        for parameter in operation.get("parameters", ())
    ]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        form = _resolved(content["schema"], openapi)
        required = form.get("required", ())
        for name, schema in form.get("properties", {}).items():
            kind = _kind(schema, openapi) + (", required" if name in required else "")
            rows.append((name, kind, schema))
    if rows:
        yield "<table><tr><th>Parameter</th><th>Value</th><th>Meaning</th></tr>"
        for name, kind, described in rows:
            yield (
                f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td>"
                f"<td>{escape(described.get('description', ''))}</td></tr>"
            )
        yield "</table>"


def _kind(schema: Schema, openapi: Schema) -> str:
    """What a value may be, in a few words."""
    schema = _resolved(schema, openapi)
    if "enum" in schema:
        kind = ", ".join(map(str, schema["enum"]))
    elif "const" in schema:
        kind = str(schema["const"])
    elif alternatives := schema.get("anyOf"):
        told = (_kind(a, openapi) for a in alternatives if a.get("type") != "null")
        kind = " or ".join(told)
    elif schema.get("type") == "array":
        kind = f"list of: {_kind(schema.get('items', {}), openapi)}"
    elif parts := schema.get("properties"):
        kind = "; ".join(f"{name}: {_kind(part, openapi)}" for name, part in parts.items())
    else:
        kind = str(schema.get("format") or schema.get("type", "any"))
    default = schema.get("default")
    return kind if default in (None, [], "") else f"{kind}; {default} if not given"


def _resolved(schema: Schema, openapi: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Any = openapi
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
