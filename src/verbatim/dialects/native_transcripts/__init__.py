"""`/v1/transcripts`: Verbatim's own way to transcribe a file, and to write a transcript anew."""

from verbatim.dialects.native_transcripts.routes import NAME, dialect

__all__ = ["NAME", "dialect"]
