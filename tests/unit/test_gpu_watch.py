"""The GPUs that a process sees, as they are told in `/health`."""

from __future__ import annotations

import pytest

from verbatim.engine import hardware
from verbatim.engine.hardware import GPU_FRESH_S, Gpu, GpuWatch, visible_gpus

CARDS = (Gpu("a", 1), Gpu("b", 2), Gpu("c", 3))


@pytest.mark.parametrize(
    ("shown", "names"),
    [
        (None, "abc"),
        ("0", "a"),
        ("2,0", "ca"),
        (" 1 , 2 ", "bc"),
        ("1,7", "b"),
        ("", ""),
        ("-1", ""),
        ("GPU-8f1c", "abc"),
    ],
)
def test_cuda_s_order(monkeypatch: pytest.MonkeyPatch, shown: str | None, names: str) -> None:
    if shown is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert "".join(gpu.name for gpu in visible_gpus(CARDS)) == names


def test_they_are_not_looked_at_for_every_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    looks: list[Gpu] = []

    def look() -> tuple[Gpu, ...]:
        looks.append(Gpu(str(len(looks)), 1))
        return (looks[-1],)

    monkeypatch.setattr(hardware, "_gpus", look)
    now_s = 0.0
    watch = GpuWatch(lambda: now_s)
    assert [watch.read()[0].name for _ in range(3)] == ["0", "0", "0"]
    now_s = GPU_FRESH_S
    assert watch.read()[0].name == "1"
