"""`/v1/keys`: Verbatim's own way to make, list, change and revoke keys."""

from verbatim.dialects.native_keys.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
