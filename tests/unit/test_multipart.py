from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verbatim.domain.errors import BadRequestError, TooLargeError, UnsupportedMediaError
from verbatim.wire.multipart import Form, FormLimits, boundary_of, check_length, read_form
from verbatim.wire.spool import Spool

BOUNDARY = b"frontier"
FILE_HEADERS = {
    "Content-Disposition": 'form-data; name="file"; filename="../../etc/passwd"',
    "Content-Type": "audio/wav",
}
LIMITS = FormLimits(file_bytes=1_000_000)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path, max_files=4) as spool:
        yield spool
        assert spool.files == 0
        assert [path.name for path in spool.folder.iterdir()] == [".lock"]


def part(content: bytes, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"--" + BOUNDARY + b"\r\n" + lines.encode() + b"\r\n" + content + b"\r\n"


def field(name: str, value: str) -> bytes:
    return part(value.encode(), {"Content-Disposition": f'form-data; name="{name}"'})


def file(content: bytes) -> bytes:
    return part(content, FILE_HEADERS)


def closed(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(
    body: bytes, spool: Spool, limits: FormLimits = LIMITS, piece_bytes: int = 65_536
) -> Form:
    return await read_form(BOUNDARY, pieces(body, piece_bytes), spool, limits)


async def refused(body: bytes, spool: Spool, limits: FormLimits = LIMITS) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        await read(body, spool, limits)
    return caught.value


@pytest.mark.parametrize("piece_bytes", [1, 7, 4096])
@pytest.mark.parametrize("file_first", [True, False])
async def test_file_and_fields_in_either_order(
    spool: Spool, piece_bytes: int, file_first: bool
) -> None:
    content = b"RIFF\r\n--front\r\n--frontie" + bytes(range(256)) * 9
    fields = [field("model", "tiny"), field("prompt", "Ünïcode 전사\r\nsecond line")]
    parts = [file(content), *fields] if file_first else [*fields, file(content)]

    form = await read(closed(*parts), spool, piece_bytes=piece_bytes)

    assert form.fields == (("model", "tiny"), ("prompt", "Ünïcode 전사\r\nsecond line"))
    assert form.upload is not None
    assert form.upload.path.read_bytes() == content
    assert form.upload.size_bytes == len(content)
    assert form.upload.digest == hashlib.sha256(content).hexdigest()
    form.discard()
    form.discard()


async def test_the_file_name_never_becomes_a_path(spool: Spool) -> None:
    form = await read(closed(file(b"x")), spool)
    assert form.upload is not None
    assert form.upload.path.parent == spool.folder
    assert "passwd" not in form.upload.path.name
    form.discard()


async def test_an_empty_file_is_a_file(spool: Spool) -> None:
    form = await read(closed(file(b"")), spool)
    assert form.upload is not None
    assert form.upload.size_bytes == 0
    form.discard()


async def test_repeated_fields_keep_their_order(spool: Spool) -> None:
    form = await read(closed(field("a[]", "1"), field("b", "2"), field("a[]", "3")), spool)
    assert form.fields == (("a[]", "1"), ("b", "2"), ("a[]", "3"))
    assert form.upload is None


async def test_a_form_without_parts(spool: Spool) -> None:
    form = await read(b"--" + BOUNDARY + b"--\r\n", spool)
    assert form == Form((), None)


async def test_preamble_and_epilogue_are_left_out(spool: Spool) -> None:
    body = b"\r\n" + closed(field("a", "1")) + b"whatever follows"
    assert (await read(body, spool)).fields == (("a", "1"),)


async def test_files_under_other_names_are_skipped(spool: Spool) -> None:
    other = part(b"xyz", {"Content-Disposition": 'form-data; name="cover"; filename="a.png"'})
    form = await read(closed(other, field("a", "1")), spool)
    assert form == Form((("a", "1"),), None)


async def test_text_in_the_place_of_the_file_is_a_field(spool: Spool) -> None:
    form = await read(closed(field("file", "recording.wav")), spool)
    assert form == Form((("file", "recording.wav"),), None)


async def test_a_file_without_a_name_is_known_by_its_type(spool: Spool) -> None:
    headers = {"Content-Disposition": 'form-data; name="file"', "Content-Type": "audio/mpeg"}
    form = await read(closed(part(b"ID3", headers)), spool)
    assert form.upload is not None
    form.discard()


async def test_two_files_are_refused(spool: Spool) -> None:
    error = await refused(closed(file(b"1"), file(b"2")), spool)
    assert error.param == "file"


@pytest.mark.parametrize("cut_bytes", [1, 5, 12, 60, 150])
async def test_a_body_cut_off_is_refused(spool: Spool, cut_bytes: int) -> None:
    body = closed(file(b"0123456789" * 20)).removesuffix(b"\r\n")
    error = await refused(body[:-cut_bytes], spool)
    assert "cut off" in error.message


async def test_a_file_over_the_limit_is_refused_while_it_comes(spool: Spool) -> None:
    limits = FormLimits(file_bytes=100_000)
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield file(b"")[:-2]
        while True:
            taken += 10_000
            yield bytes(10_000)

    with pytest.raises(TooLargeError) as caught:
        await read_form(BOUNDARY, endless(), spool, limits)
    assert taken == 110_000
    assert caught.value.param == "file"
    assert caught.value.code == "file_too_large"


async def test_a_file_of_just_the_limit_is_accepted(spool: Spool) -> None:
    form = await read(closed(file(bytes(100_000))), spool, FormLimits(file_bytes=100_000))
    assert form.upload is not None
    form.discard()


async def test_an_endless_preamble_is_refused(spool: Spool) -> None:
    limits = FormLimits(file_bytes=1000, fields_bytes=1000)
    with pytest.raises(TooLargeError):
        await read(b"\r\n" * 2000, spool, limits)


async def test_bounds_on_parts_fields_and_headers(spool: Spool) -> None:
    limits = FormLimits(file_bytes=1000, parts=3, field_bytes=50, fields_bytes=300)
    error = await refused(closed(*(field("a", "1") for _ in range(4))), spool, limits)
    assert "3 parts" in error.message

    error = await refused(closed(field("prompt", "x" * 51)), spool, limits)
    assert error.param == "prompt"

    many = closed(*(field("n" * 60, "x" * 45) for _ in range(3)))
    assert "300 bytes" in (await refused(many, spool, limits)).message

    long_header = part(b"", {"Content-Disposition": 'form-data; name="a"', "X-Long": "y" * 9000})
    assert "header" in (await refused(closed(long_header), spool)).message


async def test_a_file_under_another_name_that_is_too_long_says_where_files_go(
    spool: Spool,
) -> None:
    other = part(bytes(2000), {"Content-Disposition": 'form-data; name="audio"; filename="a.wav"'})
    error = await refused(closed(other), spool, FormLimits(file_bytes=10_000, fields_bytes=1000))
    assert "'file'" in error.message


async def test_a_file_is_removed_when_what_follows_is_refused(spool: Spool) -> None:
    bad = part(b"", {"X-Other": "no disposition"})
    error = await refused(closed(file(b"content" * 1000), bad), spool)
    assert "no name" in error.message


async def test_a_field_that_is_not_utf8(spool: Spool) -> None:
    body = closed(part(b"\xff\xfe", {"Content-Disposition": 'form-data; name="prompt"'}))
    assert (await refused(body, spool)).param == "prompt"


async def test_a_part_can_be_refused_by_its_name(spool: Spool) -> None:
    def on_part(name: str) -> None:
        if name == "bad":
            raise BadRequestError("no", param=name)

    body = closed(file(b"content"), field("bad", "x" * 100))
    with pytest.raises(BadRequestError) as caught:
        await read_form(BOUNDARY, pieces(body, 16), spool, LIMITS, on_part=on_part)
    assert caught.value.param == "bad"


@given(body=st.binary(max_size=400), piece_bytes=st.integers(1, 50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
async def test_any_bytes_are_a_form_or_refused(spool: Spool, body: bytes, piece_bytes: int) -> None:
    try:
        form = await read(body, spool, piece_bytes=piece_bytes)
    except BadRequestError:
        return
    form.discard()


@given(data=st.data(), piece_bytes=st.integers(1, 50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
async def test_any_damage_to_a_form_is_harmless(
    spool: Spool, data: st.DataObject, piece_bytes: int
) -> None:
    body = bytearray(closed(field("model", "tiny"), file(b"abc" * 10), field("language", "en")))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        form = await read(bytes(body), spool, piece_bytes=piece_bytes)
    except BadRequestError:
        return
    form.discard()


def test_the_boundary_comes_from_the_content_type() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b"') == b"a b"


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "audio/wav", "application/x-www-form-urlencoded"]
)
def test_other_content_types_are_refused(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaError, match="multipart/form-data"):
        boundary_of(content_type)


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_missing_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(BadRequestError, match="boundary"):
        boundary_of(content_type)


async def test_a_boundary_too_long_is_refused(spool: Spool) -> None:
    with pytest.raises(BadRequestError):
        await read_form(b"b" * 1000, pieces(b"", 1), spool, LIMITS)


def test_a_body_announced_too_long_is_refused_before_it_is_read() -> None:
    limits = FormLimits(file_bytes=1000, fields_bytes=100)
    check_length(None, limits)
    check_length("1100", limits)
    with pytest.raises(TooLargeError):
        check_length("1101", limits)


def test_the_limit_is_told_in_readable_units() -> None:
    with pytest.raises(TooLargeError, match="2 MiB"):
        check_length("99999999", FormLimits(file_bytes=2 * 1024 * 1024))
