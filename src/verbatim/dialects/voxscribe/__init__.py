"""VoxScribe's list of models and the words of its refusals.

Its other addresses are shared with other servers: `/` and `/health` are the server's own, and
`POST /transcribe` is that of the dialect `fastwhisper`.
"""

from verbatim.dialects.voxscribe.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
