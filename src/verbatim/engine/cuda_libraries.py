"""CUDA's libraries from pip's packages, which the dynamic linker does not look into."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

PACKAGE: Final = "nvidia"
LIBRARIES: Final = ("cublas/lib/libcublasLt.so.12", "cublas/lib/libcublas.so.12")
"""What CTranslate2's wheels open by name, each after what it needs itself."""


def load_cuda_libraries(
    folders: tuple[Path, ...] | None = None,
    load: Callable[[str], object] = lambda path: ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL),
) -> tuple[Path, ...]:
    """Load what the extra `cuda` installs, so that CTranslate2 finds it without LD_LIBRARY_PATH.

    A library that is loaded already is found by its name. Where the packages are missing, or do
    not fit this machine, the linker's own search is left to say so.

    Args:
        folders: the parts of the `nvidia` namespace package; found by import if not given.
        load: opens a library for the whole process; raises OSError where it cannot.

    Returns:
        The libraries that were loaded.
    """
    loaded = []
    for path in _present(_package_folders() if folders is None else folders):
        try:
            load(str(path))
        except OSError:
            continue
        loaded.append(path)
    return tuple(loaded)


def _present(folders: tuple[Path, ...]) -> Iterator[Path]:
    for library in LIBRARIES:
        found = next((path for folder in folders if (path := folder / library).is_file()), None)
        if found is not None:
            yield found


def _package_folders() -> tuple[Path, ...]:
    spec = importlib.util.find_spec(PACKAGE)
    return tuple(map(Path, spec.submodule_search_locations or ())) if spec else ()
