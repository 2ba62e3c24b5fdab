"""Deepgram's `/v1/listen`: live speech over a WebSocket, recordings by POST."""

from verbatim.dialects.deepgram.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
