"""The older real-time server's wire: the WebSocket `/ws/transcribe`, and its REST routes."""

from verbatim.dialects.fastwhisper.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
