"""OpenAI's REST API for audio: `/v1/audio/transcriptions`, `/v1/audio/translations`, `/v1/models`.

The contract is OpenAI's published API description; the official client packages drive it.
"""

from verbatim.dialects.openai_rest.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
