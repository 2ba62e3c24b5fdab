"""The zh-TW service: `/transcribe/file` and `/transcribe/binary`, Chinese in Traditional script."""

from verbatim.dialects.zhtw.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
