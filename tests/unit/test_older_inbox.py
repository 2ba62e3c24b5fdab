"""What a client of the older real-time server sent ahead."""

from __future__ import annotations

import asyncio

import pytest

from verbatim.dialects.fastwhisper.inbox import MAX_WAITING, MAX_WAITING_BYTES, Inbox


async def soon(task: asyncio.Task[None]) -> bool:
    """Whether it ends by itself."""
    await asyncio.wait({task}, timeout=0.05)
    return task.done()


async def test_first_come_first_served() -> None:
    inbox = Inbox()
    for message in ("one", b"two", "three"):
        await inbox.put(message)
    assert [await inbox.get() for _ in range(3)] == ["one", b"two", "three"]


async def test_who_sends_too_much_waits() -> None:
    inbox = Inbox()
    await inbox.put(bytes(MAX_WAITING_BYTES - 1))
    await inbox.put(b"x")
    waiting = asyncio.create_task(inbox.put(b"y"))
    assert not await soon(waiting)
    await inbox.get()
    assert await soon(waiting)
    assert (await inbox.get(), await inbox.get()) == (b"x", b"y")


async def test_many_small_ones_wait_too() -> None:
    inbox = Inbox()
    for _ in range(MAX_WAITING):
        await inbox.put("")
    waiting = asyncio.create_task(inbox.put(""))
    assert not await soon(waiting)
    await inbox.get()
    assert await soon(waiting)


async def test_one_that_is_larger_than_the_bound_goes_alone() -> None:
    inbox = Inbox()
    await inbox.put(bytes(3 * MAX_WAITING_BYTES))
    waiting = asyncio.create_task(inbox.put(b"x"))
    assert not await soon(waiting)
    assert len(await inbox.get() or b"") == 3 * MAX_WAITING_BYTES
    assert await soon(waiting)


async def test_who_takes_waits_for_a_message() -> None:
    inbox = Inbox()
    with pytest.raises(TimeoutError):
        await inbox.get(0.01)
    taking = asyncio.create_task(inbox.get(5))
    await asyncio.sleep(0)
    await inbox.put("late")
    assert await taking == "late"


async def test_the_end_comes_before_what_is_left() -> None:
    inbox = Inbox()
    await inbox.put("never read")
    inbox.end()
    assert await inbox.get() is None
    assert await inbox.get(1) is None


async def test_who_takes_is_told_of_the_end() -> None:
    inbox = Inbox()
    taking = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.end()
    assert await taking is None
