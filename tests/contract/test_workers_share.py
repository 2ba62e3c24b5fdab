"""Rows of a batch are decoded by all workers that are free, and come out as if by one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.speech import samples_of, speech

import verbatim
from verbatim.domain.audio import Window, to_pcm
from verbatim.domain.request import DecodeOptions
from verbatim.domain.transcript import WindowResult
from verbatim.engine.local import LocalEngine
from verbatim.engine.protocol import LoadOptions

MODEL = Path(verbatim.__file__).parent / "assets" / "demo-model"
GREEDY = DecodeOptions(language="en", beam_size=1, temperatures=(0.0,))
EXACT = LoadOptions(device="cpu", compute_type="float32", encoder="ctranslate2", cpu_threads=3)


def decoded(workers: int, windows: list[Window], calls: int = 1) -> list[list[WindowResult]]:
    async def run() -> list[list[WindowResult]]:
        engine = LocalEngine.load(MODEL, "demo", replace(EXACT, cpu_workers=workers))
        try:
            return await asyncio.gather(*(engine.run(windows) for _ in range(calls)))
        finally:
            await engine.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize("calls", [1, 3])
def test_each_window_has_its_own_text(calls: int) -> None:
    windows = [
        Window(to_pcm(samples_of(each.name)), options=GREEDY) for each in speech("short", "en", 4)
    ]
    [alone] = decoded(1, windows)
    assert len({result.tokens for result in alone}) == len(windows)
    for shared in decoded(3, windows, calls):
        assert [result.tokens for result in shared] == [result.tokens for result in alone]
        found, expected = ([r.avg_logprob for r in results] for results in (shared, alone))
        assert found == pytest.approx(expected, abs=1e-4)
