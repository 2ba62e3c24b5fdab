"""The speech-to-text microservice: `/stt/transcribe/`, `/stt/health`, `/stt/clear-memory`."""

from verbatim.dialects.microservice.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
