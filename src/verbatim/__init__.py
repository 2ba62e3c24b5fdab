"""Verbatim: a self-hosted speech-to-text server on Whisper."""
