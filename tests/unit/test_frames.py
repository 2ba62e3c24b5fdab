"""The messages between a model's process and its parent, and their turns."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.domain.audio import Window
from verbatim.domain.errors import VerbatimError
from verbatim.domain.request import DecodeOptions
from verbatim.engine.frames import (
    MAX_FRAME_BYTES,
    MAX_PARTS,
    Failed,
    FrameError,
    Job,
    encode,
    receive,
)
from verbatim.engine.lanes import Lanes


def all_errors(root: type[VerbatimError] = VerbatimError) -> list[type[VerbatimError]]:
    return [root, *(each for child in root.__subclasses__() for each in all_errors(child))]


async def decoded(*pieces: bytes | memoryview) -> object:
    reader = asyncio.StreamReader()
    for piece in pieces:
        reader.feed_data(bytes(piece))
    reader.feed_eof()
    return await receive(reader)


@given(st.lists(st.integers(1, 3_000), max_size=5), st.text(max_size=20))
def test_windows_come_as_they_went(lengths: list[int], prompt: str) -> None:
    windows = tuple(
        Window(
            np.arange(length, dtype=np.int16) - length // 2,
            start_s=float(length),
            options=DecodeOptions(initial_prompt=prompt),
            context_tokens=(length, 1),
        )
        for length in lengths
    )
    got = asyncio.run(decoded(*encode(Job(7, windows))))
    assert isinstance(got, Job)
    assert got.id == 7
    for sent, came in zip(windows, got.windows, strict=True):
        np.testing.assert_array_equal(came.samples, sent.samples)
        assert came.samples.dtype == np.int16
        assert all(
            getattr(came, each.name) == getattr(sent, each.name)
            for each in fields(Window)
            if each.name != "samples"
        )


def test_samples_are_not_copied() -> None:
    samples = np.zeros(480_000, np.int16)
    pieces = encode(Job(1, (Window(samples), Window(samples[100:200]))))
    shared = [np.shares_memory(np.frombuffer(piece, np.uint8), samples) for piece in pieces]
    assert shared == [False, False, True, True]


@pytest.mark.parametrize("kind", all_errors())
def test_every_error_travels_as_itself(kind: type[VerbatimError]) -> None:
    error = kind("What is wrong.")
    error.param, error.code, error.retry_after_s = "file", "a_code", 3.0
    got = asyncio.run(decoded(*encode(Failed(1, error))))
    assert isinstance(got, Failed)
    assert type(got.error) is kind
    assert vars(got.error) == vars(error)
    assert str(got.error) == "What is wrong."


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack("<I", 0),
        struct.pack("<I", MAX_PARTS + 1),
        struct.pack("<IQ", 1, MAX_FRAME_BYTES + 1),
        struct.pack("<IQ", 1, 5) + b"hello",
    ],
)
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(FrameError):
        asyncio.run(decoded(frame))


def test_a_frame_that_ends_early_is_the_end() -> None:
    whole = b"".join(bytes(piece) for piece in encode(Job(1, ())))
    for length in (0, 3, 10, len(whole) - 1):
        with pytest.raises(EOFError):
            asyncio.run(decoded(whole[:length]))


def test_a_message_that_is_too_large_is_not_sent() -> None:
    samples = np.zeros(1 << 20, np.int16)
    with pytest.raises(FrameError, match="too large"):
        encode([samples[:] for _ in range(MAX_FRAME_BYTES // samples.nbytes + 1)])


async def test_who_is_alone_comes_first_and_shares_with_nobody() -> None:
    lanes = Lanes(2)
    told: list[str] = []

    async def go(name: str, *, alone: bool = False) -> None:
        taken = await lanes.enter(alone=alone)
        told.append(f"{name} in")
        await asyncio.sleep(0.01)
        told.append(f"{name} out")
        lanes.leave(taken)

    await asyncio.gather(go("a"), go("b"), go("c"), go("d", alone=True), go("e"))
    assert told == [
        *("a in", "b in", "a out", "b out"),
        *("d in", "d out"),
        *("c in", "e in", "c out", "e out"),
    ]


async def test_who_is_cancelled_keeps_no_place() -> None:
    lanes = Lanes(1)
    taken = await lanes.enter()
    waiting = [asyncio.create_task(lanes.enter(alone=alone)) for alone in (True, False, True)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[2].cancel()
    await asyncio.sleep(0)
    lanes.leave(taken)
    lanes.leave(await waiting[1])
    # One that is given its turn and cancelled in the same moment gives it back.
    taken = await lanes.enter()
    late = asyncio.create_task(lanes.enter())
    await asyncio.sleep(0)
    lanes.leave(taken)
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    await asyncio.wait_for(lanes.enter(alone=True), 1.0)
