"""multipart/form-data (RFC 7578) read from a stream: the file to the spool, fields to memory.

Everything is bounded: parts, headers, each field, all fields, the file, the whole body.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from verbatim.domain.errors import BadRequestError, TooLargeError, UnsupportedMediaError
from verbatim.wire.spool import Spool, SpoolWriter, Upload

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM_TYPE: Final = b"multipart/form-data"
KIB: Final = 1024
MIB: Final = 1024 * KIB


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How much a form may hold.

    Attributes:
        file_bytes: of the file.
        parts: files and fields together.
        field_bytes: of one field's value.
        fields_bytes: of all fields and headers, and of what else lies around the file.
    """

    file_bytes: int
    parts: int = 128
    field_bytes: int = 64 * KIB
    fields_bytes: int = MIB

    @property
    def body_bytes(self) -> int:
        """Longest body that can fit."""
        return self.file_bytes + self.fields_bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A form that arrived whole: the fields in order, and the file where there was one."""

    fields: tuple[tuple[str, str], ...]
    upload: Upload | None

    def discard(self) -> None:
        """Remove the file."""
        if self.upload is not None:
            self.upload.release()


def boundary_of(content_type: str | None) -> bytes:
    """The boundary that a Content-Type header names.

    Raises:
        UnsupportedMediaError: it is not a form.
        BadRequestError: it names no boundary.
    """
    kind, options = parse_options_header(content_type)
    if kind != FORM_TYPE:
        said = kind.decode("latin-1") or "none"
        raise UnsupportedMediaError(
            f"Send the request as multipart/form-data; its Content-Type is {said[:80]}.",
            code="unsupported_content_type",
        )
    boundary = options.get(b"boundary")
    if not boundary:
        raise BadRequestError(
            "The Content-Type header names no boundary. Let the HTTP library write this header."
        )
    return boundary


def check_length(content_length: str | None, limits: FormLimits) -> None:
    """Refuse a body by what its header announces, before reading any of it.

    Raises:
        TooLargeError: it cannot fit.
    """
    if content_length is not None and int(content_length) > limits.body_bytes:
        raise too_large(limits)


def too_large(limits: FormLimits) -> TooLargeError:
    """The answer to a file over the limit."""
    size = limits.file_bytes
    shown = f"{size / MIB:g} MiB" if size >= MIB else f"{size} bytes"
    return TooLargeError(
        f"The file is larger than {shown}, the most that this server accepts. Send a compressed "
        "format such as mp3 or opus, or raise max_upload_bytes.",
        param="file",
        code="file_too_large",
    )


async def read_form(
    boundary: bytes,
    body: AsyncIterator[bytes],
    spool: Spool,
    limits: FormLimits,
    *,
    file_field: str = "file",
    on_part: Callable[[str], None] | None = None,
) -> Form:
    """Read a whole form; what was spooled is removed where this raises.

    Args:
        boundary: from `boundary_of`.
        body: the body as it comes, in pieces of any size.
        spool: where the file goes.
        limits: how much is accepted.
        file_field: the part that is the file; files under other names are skipped.
        on_part: told each part's name before its content is read; may raise.

    Raises:
        BadRequestError: the body is not such a form, or is cut off.
        TooLargeError: it is over a limit; raised as soon as it is passed.
        StorageFullError: the disk has no room for the file.
        OverloadedError: the spool holds too many files.
    """
    reader = _FormReader(limits, file_field, on_part)
    received_bytes = 0
    writer: SpoolWriter | None = None
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        async for chunk in body:
            received_bytes += len(chunk)
            if received_bytes > limits.body_bytes:
                raise too_large(limits)
            parser.write(chunk)
            if reader.has_file and writer is None:
                writer = spool.open()
            if writer is not None:
                await writer.write(reader.take_file_data())
        if not reader.complete:
            raise BadRequestError(
                "The body was cut off: the form's closing boundary is missing. Send it again."
            )
        upload = await writer.finish() if writer is not None else None
    except FormParserError as error:
        _discard(writer)
        raise BadRequestError(f"The body is not a form that can be read: {error}.") from error
    except BaseException:
        _discard(writer)
        raise
    return Form(tuple(reader.fields), upload)


def _discard(writer: SpoolWriter | None) -> None:
    if writer is not None:
        writer.discard()


class _FormReader:
    """Follows the parser's callbacks; holds at most the fields and one chunk of the file."""

    def __init__(
        self, limits: FormLimits, file_field: str, on_part: Callable[[str], None] | None
    ) -> None:
        self.fields: list[tuple[str, str]] = []
        self.has_file = False
        self.complete = False
        self._limits = limits
        self._file_field = file_field
        self._on_part = on_part
        self._file_bytes = 0
        self._file_data = bytearray()
        self._other_bytes = 0
        self._parts = 0
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._headers: dict[bytes, str] = {}
        self._name = ""
        self._sink = self._skip
        self._value = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def take_file_data(self) -> bytes:
        """What came of the file since the last call."""
        data = bytes(self._file_data)
        self._file_data.clear()
        return data

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._limits.parts:
            raise BadRequestError(f"The form has more than {self._limits.parts} parts.")
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        # latin-1 keeps every byte, so that names can be read as UTF-8 below.
        self._headers[bytes(self._header_name).lower()] = self._header_value.decode("latin-1")
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name")
        if name is None:
            raise BadRequestError("A part of the form has no name.")
        self._name = name.decode("utf-8", errors="replace")
        if self._on_part is not None:
            self._on_part(self._name)
        is_file = b"filename" in options
        # Some clients send the file without its name; text in its place is told apart by its type.
        if self._name == self._file_field and (is_file or b"content-type" in self._headers):
            if self.has_file:
                raise BadRequestError(
                    "The form holds more than one file; send one a request.", param=self._name
                )
            self.has_file = True
            self._sink = self._keep_file
        elif is_file:
            self._sink = self._skip
        else:
            self._sink = self._keep_field
        self._value.clear()

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._sink(data[start:end])

    def _on_part_end(self) -> None:
        if self._sink == self._keep_field:
            self.fields.append((self._name, self._text()))

    def _on_end(self) -> None:
        self.complete = True

    def _keep_file(self, data: bytes) -> None:
        self._file_bytes += len(data)
        if self._file_bytes > self._limits.file_bytes:
            raise too_large(self._limits)
        self._file_data += data

    def _keep_field(self, data: bytes) -> None:
        self._count(len(data))
        if len(self._value) + len(data) > self._limits.field_bytes:
            raise BadRequestError(
                f"The field {self._name!r} is longer than {self._limits.field_bytes} bytes.",
                param=self._name,
            )
        self._value += data

    def _skip(self, data: bytes) -> None:
        self._count(len(data))

    def _count(self, size_bytes: int) -> None:
        self._other_bytes += size_bytes
        if self._other_bytes > self._limits.fields_bytes:
            raise BadRequestError(
                f"The form holds more than {self._limits.fields_bytes} bytes besides its file, "
                f"which goes in the field {self._file_field!r}."
            )

    def _text(self) -> str:
        try:
            return self._value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRequestError(
                f"The field {self._name!r} is not UTF-8 text.", param=self._name
            ) from error
