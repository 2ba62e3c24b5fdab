"""Every error that a caller can meet, in one tree.

    VerbatimError
    ├── BadRequestError            a parameter or a body that cannot be served
    ├── UnauthorizedError          an unknown key, or one that is over
    │   └── MissingKeyError        none was given
    ├── ForbiddenError             a key without this right
    ├── NotFoundError
    │   └── ModelNotFoundError
    │       └── ModelNotInstalledError
    ├── SlowUploadError            the body did not arrive in time
    ├── TooLargeError              the body, or what it unpacks to
    │   ├── AudioTooLongError
    │   └── DecodingTooSlowError   it takes longer to decode than any real recording
    ├── UnsupportedMediaError      the bytes are not audio that can be read
    │   ├── NotAudioError
    │   ├── EmptyAudioError
    │   ├── NoAudioTrackError
    │   ├── EncryptedAudioError
    │   ├── IncompleteAudioError   cut off before anything that can be read
    │   ├── UnsupportedCodecError
    │   └── UndecodableAudioError  the container is whole, its audio is not
    ├── OverloadedError            the queue is full; try again
    │   └── RateLimitedError       a limit of this key is reached
    ├── UnavailableError           not now: starting, draining, no hub
    │   └── ModelUnavailableError
    ├── StorageFullError
    └── InternalError              our fault

A message says what is wrong and what to do about it; it is shown to users as it is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class ErrorKind(StrEnum):
    """What sort of error it is; each dialect maps a kind to its own status and shape."""

    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA = "unsupported_media"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    STORAGE_FULL = "storage_full"
    INTERNAL = "internal"


class VerbatimError(Exception):
    """The root: a kind, a message for the user, and what a program needs to react.

    Attributes:
        message: what is wrong and what to do, in a sentence or two.
        param: the request's parameter at fault, where there is one.
        code: a stable word for programs, such as `model_not_found`.
        retry_after_s: after how many seconds a repeat has a chance; None where a repeat is no help.
    """

    kind: ClassVar[ErrorKind] = ErrorKind.INTERNAL
    default_code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.default_code
        self.retry_after_s = retry_after_s

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in {ErrorKind.OVERLOADED, ErrorKind.UNAVAILABLE}


class BadRequestError(VerbatimError):
    """A parameter or a body that cannot be served as it is."""

    kind = ErrorKind.BAD_REQUEST


class UnauthorizedError(VerbatimError):
    """The key is not known, or opens nothing any more."""

    kind = ErrorKind.UNAUTHORIZED
    default_code = "invalid_api_key"


class MissingKeyError(UnauthorizedError):
    """A key is needed, and none was given."""

    default_code = "missing_api_key"


class ForbiddenError(VerbatimError):
    """The key is known and does not have this right."""

    kind = ErrorKind.FORBIDDEN


class NotFoundError(VerbatimError):
    """There is nothing at this address or under this name."""

    kind = ErrorKind.NOT_FOUND


class ModelNotFoundError(NotFoundError):
    """No model has this name."""

    default_code = "model_not_found"


class ModelNotInstalledError(ModelNotFoundError):
    """The model is known, and is not on this machine."""


class SlowUploadError(VerbatimError):
    """The body did not arrive in time."""

    kind = ErrorKind.TIMEOUT


class TooLargeError(VerbatimError):
    """The body, or what it unpacks to, is over a limit."""

    kind = ErrorKind.TOO_LARGE


class AudioTooLongError(TooLargeError):
    """The audio is longer than the server accepts."""

    default_code = "audio_too_long"


class DecodingTooSlowError(TooLargeError):
    """Decoding takes more time than the length of the audio allows."""

    default_code = "decoding_too_slow"


class UnsupportedMediaError(VerbatimError):
    """The bytes are not audio that can be read."""

    kind = ErrorKind.UNSUPPORTED_MEDIA


class NotAudioError(UnsupportedMediaError):
    """The bytes are in no audio or video format on the allow-list."""

    default_code = "not_audio"


class EmptyAudioError(UnsupportedMediaError):
    """There are no bytes, or no samples in them."""

    default_code = "empty_audio"


class NoAudioTrackError(UnsupportedMediaError):
    """A video or container without any audio track."""

    default_code = "no_audio_track"


class EncryptedAudioError(UnsupportedMediaError):
    """The audio is protected and cannot be decoded."""

    default_code = "encrypted_audio"


class IncompleteAudioError(UnsupportedMediaError):
    """The file is cut off, and what is there is not enough to read any of it."""

    default_code = "incomplete_audio"


class UnsupportedCodecError(UnsupportedMediaError):
    """The container is known, and the way its audio is coded is not."""

    default_code = "unsupported_codec"


class UndecodableAudioError(UnsupportedMediaError):
    """An audio track is there, and no part of it could be decoded."""

    default_code = "undecodable_audio"


class OverloadedError(VerbatimError):
    """Every place is taken; a repeat in `retry_after_s` seconds has a chance."""

    kind = ErrorKind.OVERLOADED
    default_code = "overloaded"


class RateLimitedError(OverloadedError):
    """A limit of this key is reached; other keys are served."""

    default_code = "rate_limit_exceeded"


class UnavailableError(VerbatimError):
    """Not now: starting, draining, or something needed cannot be reached."""

    kind = ErrorKind.UNAVAILABLE


class ModelUnavailableError(UnavailableError):
    """The model is known, and cannot be had or loaded now."""

    default_code = "model_unavailable"


class StorageFullError(VerbatimError):
    """The disk has no room for what must be kept: an upload, a key, a result."""

    kind = ErrorKind.STORAGE_FULL
    default_code = "storage_full"


class InternalError(VerbatimError):
    """A fault of ours; the log holds the details under the request's id."""
