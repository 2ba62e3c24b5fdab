"""What the events say that are asked and answered here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from verbatim.dialects.wyoming.frames import Event
from verbatim.domain.errors import BadRequestError, VerbatimError
from verbatim.domain.live import LiveOptions
from verbatim.stages.language_names import language_code
from verbatim.wire.live_audio import LiveEncoding, LiveFormat

PROGRAM: Final = "verbatim"
WIDTHS: Final = (1, 2, 3, 4)
"""Bytes of a sample."""
SEPARATOR: Final = ", "
MAX_LIKELY_CHARS: Final = 600
"""Some 150 tokens of the 223 that a prompt may have."""


def info(model: str, languages: Sequence[str], version: str) -> Event:
    """What there is to be had: one program with the model that is used if none is named.

    Args:
        model: its name.
        languages: codes it knows.
        version: Verbatim's.
    """
    whisper = {"name": "OpenAI Whisper", "url": "https://github.com/openai/whisper"}
    program = {
        "name": PROGRAM,
        "attribution": whisper,
        "installed": True,
        "description": "Verbatim, speech to text with Whisper",
        "version": version,
        "models": [
            {
                "name": model,
                "attribution": whisper,
                "installed": True,
                "description": f"Whisper model {model}",
                "version": None,
                "languages": list(languages),
            }
        ],
        "supports_transcript_streaming": True,
        "requires_external_vad": True,
        # Features are relative to the loudest sound, and Whisper was trained on noise.
        "prefers_auto_gain_enabled": False,
        "prefers_noise_reduction_enabled": False,
    }
    others: dict[str, Any] = {
        domain: [] for domain in ("tts", "handle", "intent", "wake", "mic", "snd")
    }
    return Event("info", {"asr": [program], **others})


def live_options(data: dict[str, Any]) -> LiveOptions:
    """How to listen, of a `transcribe` event.

    Only the client knows when a command is over, so nothing else ends it.

    Raises:
        BadRequestError: a field of another type, or a language that Whisper does not know.
    """
    name, language = _text(data, "name"), _text(data, "language")
    names, terms = _texts(data, "transcript_names"), _texts(data, "transcript_terms")
    return LiveOptions(
        model=name or LiveOptions().model,
        language=None if not language else language_code(language),
        hotwords=likely_words(names, terms),
        manual=True,
    )


def likely_words(names: Sequence[str], terms: Sequence[str]) -> str | None:
    """As many as a prompt has room for; names come before terms.

    A house may have hundreds of names, and what is too much for the model's prompt would put out
    the rest of it. Of a prompt the end weighs most, so the names are there.
    """
    taken: list[str] = []
    room = MAX_LIKELY_CHARS
    for word in (*names, *terms):
        room -= len(word) + len(SEPARATOR)
        if room < 0:
            break
        taken.insert(0, word)
    return SEPARATOR.join(taken) or None


def audio_format(data: dict[str, Any]) -> tuple[LiveFormat, int]:
    """Rate and channels, and the bytes of a sample, of an `audio-start` or `audio-chunk` event.

    Raises:
        BadRequestError: it does not say them, or they cannot be read.
    """
    rate_hz, width, channels = (_count(data, name) for name in ("rate", "width", "channels"))
    if width not in WIDTHS:
        raise BadRequestError(f"The width is {width}; samples have 1 to 4 bytes.", param="width")
    return LiveFormat(LiveEncoding.PCM16, rate_hz, channels), width


def to_pcm16(audio: bytes, width: int) -> bytes:
    """Signed little-endian samples of any width as those of 16 bits.

    Raises:
        BadRequestError: the last sample is not whole.
    """
    if len(audio) % width:
        raise BadRequestError(
            f"A chunk of {len(audio)} bytes does not hold whole samples of {width} bytes.",
            param="width",
        )
    if width == 1:
        wide = np.frombuffer(audio, np.int8).astype("<i2") * np.int16(256)
        return wide.tobytes()
    upper = np.frombuffer(audio, np.uint8).reshape(-1, width)[:, width - 2 :]
    return upper.tobytes()


def pong(data: dict[str, Any]) -> Event:
    """The answer to a `ping` with this data."""
    return Event("pong", {"text": data.get("text")})


def transcript_start(language: str | None) -> Event:
    """The first of a transcript that is told in chunks."""
    return Event("transcript-start", {} if language is None else {"language": language})


def transcript_chunk(text: str) -> Event:
    """More of it; all chunks together are the transcript."""
    return Event("transcript-chunk", {"text": text})


def transcript_end(text: str, language: str | None) -> tuple[Event, Event]:
    """The whole of it, for those who know no chunks, and the end."""
    known = {} if language is None else {"language": language}
    return Event("transcript", {"text": text, **known}), Event("transcript-stop")


def error_event(error: VerbatimError) -> Event:
    """What went wrong."""
    return Event("error", {"text": error.message, "code": error.code or error.kind.value})


def _text(data: dict[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequestError(f"{name} is a text.", param=name)
    return value


def _texts(data: dict[str, Any], name: str) -> list[str]:
    values = data.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BadRequestError(f"{name} is a list of texts.", param=name)
    return values


def _count(data: dict[str, Any], name: str) -> int:
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequestError(f"Audio needs a {name}, a whole number.", param=name)
    return value
