"""Windows to the device: some are made ready while others are decoded, batches split to fit it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from verbatim.domain.audio import Window
from verbatim.domain.transcript import WindowResult
from verbatim.engine.decoding import Decoder, ReadyWindow
from verbatim.engine.protocol import DeviceMemoryError

log = structlog.stdlib.get_logger(__name__)

FEATURE_THREADS: Final = 4
"""A window's features take a thread 2 to 4 ms, and a batch on an empty device waits for them."""
OUT_OF_MEMORY: Final = (
    "out of memory",
    "failed to allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "std::bad_alloc",
)
"""What CTranslate2's errors of that kind say, on a GPU and on a CPU."""
TOO_LARGE: Final = (
    "The device has too little memory to decode even one window beside the model. Take a smaller "
    "model or number format (VERBATIM_MODEL, VERBATIM_COMPUTE_TYPE), ask for a smaller beam, or "
    "end what else uses its memory."
)


class Feeder:
    """Threads around a `Decoder`, which keep the device busy.

    Calls may overlap. What is to be decoded is first made ready by threads of its own, at once and
    beside what the device is at; then batches go to the device in the order in which they were
    ready. So the device waits for features only when it had nothing to do anyway.

    Args:
        decoder: decodes a batch; blocks, and is called by one thread for each replica.
        batch_size: most windows of a batch. It sinks for good when the device runs out of memory.
        replicas: batches that the decoder takes at the same time.
    """

    def __init__(self, decoder: Decoder, batch_size: int, replicas: int) -> None:
        self._decoder = decoder
        self._batch_size = batch_size
        self._fitting = batch_size
        self._device = ThreadPoolExecutor(replicas, thread_name_prefix="inference")
        self._front = ThreadPoolExecutor(FEATURE_THREADS, thread_name_prefix="features")

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        """Decode windows; see `Engine.run`.

        Cancelling it lasts until the device is not busy with them any more.
        """
        self._decoder.check(windows)
        size = self._batch_size
        batches = [windows[first : first + size] for first in range(0, len(windows), size)]
        if not batches:
            return []
        results: list[WindowResult] = []
        ahead = asyncio.create_task(self._make_ready(batches[0]))
        try:
            for following in (*batches[1:], None):
                ready = await ahead
                if following is not None:
                    ahead = asyncio.create_task(self._make_ready(following))
                results += await self._on_device(ready)
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
        return results

    async def aclose(self) -> None:
        """End the threads once the calls in flight have ended."""
        for threads in (self._front, self._device):
            await asyncio.to_thread(threads.shutdown, wait=True)

    async def _make_ready(self, windows: Sequence[Window]) -> list[ReadyWindow]:
        loop = asyncio.get_running_loop()
        making = (
            loop.run_in_executor(self._front, self._decoder.make_ready, window)
            for window in windows
        )
        return await asyncio.gather(*making)

    async def _on_device(self, windows: Sequence[ReadyWindow]) -> list[WindowResult]:
        job = self._device.submit(self._decode, windows)
        done = asyncio.wrap_future(job)
        try:
            await asyncio.wait({done})
        except asyncio.CancelledError:
            # What the device is at cannot be stopped.
            if not job.cancel():
                await asyncio.wait({done})
                done.exception()
            raise
        return done.result()

    def _decode(self, windows: Sequence[ReadyWindow]) -> list[WindowResult]:
        """Decode a batch, in as many parts as the device's memory asks for."""
        results: list[WindowResult] = []
        while rest := windows[len(results) :]:
            part = rest[: self._fitting]
            try:
                results += self._decoder.run(part)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise DeviceMemoryError(TOO_LARGE) from error
                self._fitting = min(self._fitting, -(-len(part) // 2))
                log.warning(
                    "the device ran out of memory; batches are smaller from now on",
                    windows=len(part),
                    windows_from_now_on=self._fitting,
                )
        return results


def _is_out_of_memory(error: RuntimeError | MemoryError) -> bool:
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY)
