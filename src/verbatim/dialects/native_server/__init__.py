"""`/v1/server`: how the server is, and its models: loaded, unloaded, fetched and removed."""

from verbatim.dialects.native_server.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
