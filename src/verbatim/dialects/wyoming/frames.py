"""Events as bytes: a line of JSON, more JSON where the line says so, and a payload."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from verbatim.domain.errors import BadRequestError, TooLargeError
from verbatim.wire.json_text import load_json
from verbatim.wire.tcp import TcpConnection

MAX_DATA_BYTES: Final = 64 * 1024
MAX_PAYLOAD_BYTES: Final = 1024 * 1024
"""Half a minute of 16-bit audio at 16 kHz."""
BAD_FRAME: Final = "invalid_event"


@dataclass(frozen=True, slots=True)
class Event:
    """One message, either way.

    Attributes:
        type: what it is about.
        data: its fields.
        payload: audio.
    """

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""


async def read_event(connection: TcpConnection, timeout_s: float | None = None) -> Event | None:
    """The next event; None where the client has ended.

    Args:
        connection: nothing is read ahead of it.
        timeout_s: for its first line; None waits as long as the connection lives.

    Raises:
        BadRequestError, TooLargeError: it is none, or too long; what follows cannot be read.
        SlowUploadError: its parts did not come in time.
        SocketClosedError: the client has gone.
        TimeoutError: there was none in time.
    """
    line = await connection.read_line(timeout_s)
    if not line:
        return None
    head = _object(line)
    kind = head.get("type")
    if not isinstance(kind, str):
        raise BadRequestError("An event has a type.", param="type", code=BAD_FRAME)
    data = head.get("data") or {}
    if not isinstance(data, dict):
        raise BadRequestError("An event's data is an object.", param="data", code=BAD_FRAME)
    data_bytes = _length(head, "data_length", MAX_DATA_BYTES)
    payload_bytes = _length(head, "payload_length", MAX_PAYLOAD_BYTES)
    if data_bytes:
        data = data | _object(await connection.read_exactly(data_bytes))
    return Event(kind, data, await connection.read_exactly(payload_bytes))


def to_bytes(event: Event) -> bytes:
    """An event to send; its data goes after the line, as the protocol's own library has it."""
    data = _dumped(event.data) if event.data else b""
    head: dict[str, Any] = {"type": event.type}
    if data:
        head["data_length"] = len(data)
    if event.payload:
        head["payload_length"] = len(event.payload)
    return _dumped(head) + b"\n" + data + event.payload


def _dumped(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = load_json(text)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(
            "This is no event of Wyoming: each begins with a line that holds a JSON object.",
            code=BAD_FRAME,
        ) from error
    if not isinstance(value, dict):
        raise BadRequestError("An event is a JSON object.", code=BAD_FRAME)
    return value


def _length(head: dict[str, Any], name: str, most: int) -> int:
    value = head.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadRequestError(f"{name} is a number of bytes.", param=name, code=BAD_FRAME)
    if value > most:
        raise TooLargeError(
            f"{name} is {value}, and may be {most}. Send audio in smaller chunks.",
            param=name,
            code="message_too_large",
        )
    return value
