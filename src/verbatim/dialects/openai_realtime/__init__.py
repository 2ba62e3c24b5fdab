"""OpenAI's realtime API, as far as it transcribes: `/v1/realtime` and its client secrets.

The contract is OpenAI's published API description; the official client package drives it.
"""

from verbatim.dialects.openai_realtime.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
