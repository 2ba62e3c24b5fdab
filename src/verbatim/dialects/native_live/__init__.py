"""Verbatim's own live wire: `/v1/live`, a WebSocket that takes audio and gives words."""

from verbatim.dialects.native_live.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
