from __future__ import annotations

from pathlib import Path

import pytest

from verbatim.engine.cuda_libraries import LIBRARIES, load_cuda_libraries


def _installed(folder: Path, *libraries: str) -> Path:
    for library in libraries:
        path = folder / library
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_each_is_loaded_after_what_it_needs(tmp_path: Path) -> None:
    folder = _installed(tmp_path, *reversed(LIBRARIES))
    opened: list[str] = []
    loaded = load_cuda_libraries((folder,), opened.append)
    assert opened == [str(folder / library) for library in LIBRARIES]
    assert loaded == tuple(folder / library for library in LIBRARIES)


def test_the_parts_of_the_package_may_lie_apart(tmp_path: Path) -> None:
    first = _installed(tmp_path / "a", LIBRARIES[1])
    second = _installed(tmp_path / "b", LIBRARIES[0])
    loaded = load_cuda_libraries((first, second), lambda _: None)
    assert loaded == (second / LIBRARIES[0], first / LIBRARIES[1])


def test_one_that_does_not_fit_is_left_to_the_linker(tmp_path: Path) -> None:
    # Empty files are no libraries: the real loader refuses them.
    assert load_cuda_libraries((_installed(tmp_path, *LIBRARIES),)) == ()


def test_without_the_extra_nothing_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert load_cuda_libraries((tmp_path,)) == ()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert load_cuda_libraries() == ()
