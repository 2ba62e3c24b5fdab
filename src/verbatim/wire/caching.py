"""What HTTP says of kept results: `Cache-Control` in, `X-Verbatim-Cache` out."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers

from verbatim.pipeline.result_cache import Caching

CACHE_HEADER: Final = "x-verbatim-cache"
NO_CACHE: Final = "no-cache"
NO_STORE: Final = "no-store"


def caching_of(headers: Headers) -> Caching:
    """What a request's `Cache-Control` allows (RFC 9111, 5.2.1)."""
    told = ",".join(headers.getlist("cache-control")).lower()
    directives = {part.partition("=")[0].strip() for part in told.split(",")}
    return Caching(read=NO_CACHE not in directives, keep=NO_STORE not in directives)
