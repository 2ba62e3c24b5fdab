"""VoxScribe: its list of models, its part of `/` and `/health`, the words of its refusals.

`POST /transcribe` it shares with another server: that is in the dialect `fastwhisper`.
"""

from verbatim.dialects.voxscribe.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
