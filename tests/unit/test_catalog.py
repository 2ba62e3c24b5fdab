"""Names, folders and the choice of a default; downloads are tested with the hub's faults."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_hub import WEIGHTS_HEAD, write_model

from verbatim.domain.errors import (
    BadRequestError,
    ForbiddenError,
    ModelNotFoundError,
    ModelNotInstalledError,
    ModelUnavailableError,
    NotFoundError,
    VerbatimError,
)
from verbatim.engine.catalog import BUNDLED_DEMO, Catalog
from verbatim.engine.hardware import Gpu, Hardware, measure_hardware
from verbatim.engine.hub import HubClient, HubConfig
from verbatim.engine.hub_cache import is_repository_name
from verbatim.engine.known_models import (
    DEFAULT_ALIASES,
    DEMO_NAME,
    KNOWN_MODELS,
    find_known,
    means_default,
)
from verbatim.engine.model_choice import memory_needed_bytes, preferred_models, wanted_model
from verbatim.engine.model_folder import folder_problem
from verbatim.settings import load_settings

GB = 1_000_000_000


def machine(cores: int = 4, memory_gb: float = 16, *gpu_gb: float) -> Hardware:
    gpus = tuple(Gpu("card", int(gb * GB)) for gb in gpu_gb)
    return Hardware("", (), cores, int(memory_gb * GB), gpus)


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return write_model(tmp_path / "package" / "demo")


def make_catalog(
    models_dir: Path, demo: Path, hardware: Hardware | None = None, **settings: object
) -> Catalog:
    values = load_settings({"models_dir": models_dir, **settings})
    hub = HubClient(HubConfig(models_dir.parent / "hub-cache", offline=True))
    return Catalog(values, hub, lambda: hardware or machine(), demo)


# The table of names


def test_every_name_leads_to_one_model() -> None:
    names = [name for m in KNOWN_MODELS for name in (m.name, m.repository, *m.aliases)]
    assert len({name.lower() for name in names}) == len(names)
    assert all(find_known(m.name) is m for m in KNOWN_MODELS)
    assert all(is_repository_name(m.repository) for m in KNOWN_MODELS)


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("tiny", "Systran/faster-whisper-tiny"),
        ("medium.en", "Systran/faster-whisper-medium.en"),
        ("large", "Systran/faster-whisper-large-v3"),
        ("Large-V3", "Systran/faster-whisper-large-v3"),
        ("turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
        ("openai/whisper-small", "Systran/faster-whisper-small"),
        ("distil-small.en", "Systran/faster-distil-whisper-small.en"),
        ("distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2"),
        ("distil-whisper/distil-large-v3", "Systran/faster-distil-whisper-large-v3"),
    ],
)
def test_names_and_aliases(name: str, repository: str) -> None:
    known = find_known(name)
    assert known is not None
    assert known.repository == repository


def test_faster_whisper_means_the_same_repositories() -> None:
    from faster_whisper.utils import _MODELS  # noqa: PLC0415  slow to import

    for name, repository in _MODELS.items():
        known = find_known(name)
        assert known is not None
        assert known.repository == repository


@pytest.mark.parametrize("name", ["auto", "whisper-1", "gpt-4o-transcribe", "gpt-transcribe", ""])
def test_names_of_hosted_models_mean_the_default(name: str) -> None:
    assert means_default(name)
    assert find_known(name) is None


# Folders


def test_a_folder_of_the_models_directory_is_found_by_its_name(
    models_dir: Path, demo: Path
) -> None:
    folder = write_model(models_dir / "my finetune-2.0")
    found = make_catalog(models_dir, demo).resolve("my finetune-2.0")
    assert (found.name, found.folder, found.source) == ("my finetune-2.0", folder, "folder")
    assert found.warnings == ()


@pytest.mark.parametrize("folder", ["small", "faster-whisper-small", "whisper-small"])
def test_a_copied_folder_serves_the_known_name(models_dir: Path, demo: Path, folder: str) -> None:
    write_model(models_dir / folder)
    catalog = make_catalog(models_dir, demo)
    for name in ("small", "openai/whisper-small", "Systran/faster-whisper-small"):
        assert catalog.resolve(name).folder == models_dir / folder


def test_paths_are_for_trusted_callers(tmp_path: Path, models_dir: Path, demo: Path) -> None:
    folder = write_model(tmp_path / "elsewhere" / "mine")
    catalog = make_catalog(models_dir, demo)
    found = catalog.resolve(str(folder), allow_paths=True)
    assert (found.name, found.folder, found.source) == ("mine", folder.resolve(), "folder")
    with pytest.raises(ModelNotFoundError):
        catalog.resolve(str(folder))


def test_relative_and_home_paths(
    tmp_path: Path, models_dir: Path, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_model(tmp_path / "owner" / "mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    catalog = make_catalog(models_dir, demo)
    for name in ("./owner/mine", "owner/mine", "~/owner/mine"):
        assert catalog.resolve(name, allow_paths=True).folder == folder.resolve()
    with pytest.raises(ModelNotFoundError, match="no folder"):
        catalog.resolve("./owner/yours", allow_paths=True)
    with pytest.raises(ModelNotFoundError):
        catalog.resolve("~nobody-of-this-name/model", allow_paths=True)


@given(
    st.one_of(
        st.text(max_size=300),
        st.lists(
            st.sampled_from(["..", ".", "/", "\\", "secret", "~", "\0", "a", "models", "%2e"]),
            max_size=8,
        ).map("".join),
    )
)
def test_names_of_strangers_never_lead_out_of_the_models_directory(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "traversal"
    if not root.exists():
        write_model(root / "secret")
        write_model(root / "models" / "inside")
        write_model(root / "package" / "demo")
    models_dir = root / "models"
    catalog = make_catalog(models_dir, root / "package" / "demo", model=DEMO_NAME)
    try:
        found = catalog.resolve(name)
    except (NotFoundError, ModelUnavailableError):
        return
    assert found.folder in {models_dir / "inside", root / "package" / "demo"}


@pytest.mark.parametrize("missing", ["model.bin", "config.json"])
def test_a_folder_that_lacks_a_file_is_explained(tmp_path: Path, missing: str) -> None:
    folder = write_model(tmp_path / "broken")
    (folder / missing).unlink()
    problem = folder_problem(folder)
    assert problem is not None
    assert f"{missing} is missing" in problem


def test_either_kind_of_vocabulary_will_do(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    assert folder_problem(folder) is None
    (folder / "vocabulary.json").rename(folder / "vocabulary.txt")
    assert folder_problem(folder) is None
    (folder / "vocabulary.txt").unlink()
    assert "tokenizer.json (or vocabulary.json or vocabulary.txt) is missing" in str(
        folder_problem(folder)
    )


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"\x06\x00\x00\x00\x10\x00TransformerSpec\x00", "no Whisper model"),
        (b"", "no Whisper model"),
        (bytes(100), "no Whisper model"),
    ],
)
def test_weights_that_are_none_are_explained(tmp_path: Path, weights: bytes, words: str) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "model.bin").write_bytes(weights)
    assert words in str(folder_problem(folder))
    (folder / "model.bin").write_bytes(WEIGHTS_HEAD)
    assert folder_problem(folder) is None


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("model.safetensors", "ct2-transformers-converter --model"),
        ("pytorch_model.bin", "ct2-transformers-converter --model"),
        ("small.pt", "verbatim models pull small"),
        ("ggml-small.bin", "cannot be converted"),
    ],
)
def test_other_kinds_of_models_are_recognised(tmp_path: Path, file: str, words: str) -> None:
    (tmp_path / file).write_bytes(b"x")
    assert words in str(folder_problem(tmp_path))
    if file.endswith((".pt", ".bin")):
        assert "Name the folder" in str(folder_problem(tmp_path / file))


def test_a_folder_that_may_not_be_read_is_explained(
    models_dir: Path, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(models_dir / "mine")
    locked, is_file, iterdir = models_dir / "mine", Path.is_file, Path.iterdir

    def is_file_unless_locked(path: Path) -> bool:
        if path.parent == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", is_file_unless_locked)
    assert "mine/model.bin may not be read" in str(folder_problem(locked))
    assert [e.name for e in make_catalog(models_dir, demo).installed()] == [DEMO_NAME]

    def iterdir_unless_locked(path: Path) -> Iterator[Path]:
        if path == models_dir:
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", iterdir_unless_locked)
    with pytest.raises(ModelUnavailableError, match=r"models directory .* may not be read"):
        make_catalog(models_dir, demo).default()


# Errors


def test_an_unknown_name_suggests_what_is_close(models_dir: Path, demo: Path) -> None:
    write_model(models_dir / "interviews")
    catalog = make_catalog(models_dir, demo)
    with pytest.raises(ModelNotFoundError, match=r"lage-v3.*large-v3.*verbatim models list"):
        catalog.resolve("lage-v3")
    with pytest.raises(ModelNotFoundError, match="Did you mean interviews"):
        catalog.resolve("interview")
    with pytest.raises(ModelNotFoundError) as caught:
        catalog.resolve("x" * 10_000)
    assert len(caught.value.message) < 300
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


def test_a_known_model_that_is_not_here_says_how_to_get_it(models_dir: Path, demo: Path) -> None:
    with pytest.raises(ModelNotInstalledError) as caught:
        make_catalog(models_dir, demo).ensure("small")
    assert "VERBATIM_OFFLINE" in caught.value.message
    assert "MODELS_DIR/small" in caught.value.message


# Listing, showing, removing


def test_what_is_installed(models_dir: Path, demo: Path) -> None:
    write_model(models_dir / "small")
    write_model(models_dir / "mine")
    (models_dir / "notes").mkdir()
    (models_dir / ".hidden").mkdir()
    entries = make_catalog(models_dir, demo).installed()
    assert [(e.name, e.source) for e in entries] == [
        ("mine", "folder"),
        ("small", "folder"),
        (DEMO_NAME, "bundled"),
    ]
    small = entries[1]
    assert small.aliases == ("openai/whisper-small",)
    assert small.repository == "Systran/faster-whisper-small"
    assert small.size_bytes == sum(p.stat().st_size for p in small.folder.iterdir())
    assert small.created == int((small.folder / "model.bin").stat().st_mtime)


def test_show(models_dir: Path, demo: Path) -> None:
    write_model(models_dir / "mine")
    catalog = make_catalog(models_dir, demo)
    absent = catalog.show("turbo")
    assert (absent.name, absent.entry) == ("large-v3-turbo", None)
    assert absent.known is not None
    mine = catalog.show("mine")
    assert mine.known is None
    assert mine.entry is not None
    assert mine.entry.folder == models_dir / "mine"
    with pytest.raises(ModelNotFoundError):
        catalog.show("nobody/nothing")


def test_remove(tmp_path: Path, models_dir: Path, demo: Path) -> None:
    folder = write_model(models_dir / "mine")
    outside = write_model(tmp_path / "outside")
    (models_dir / "linked").symlink_to(outside)
    catalog = make_catalog(models_dir, demo)
    assert catalog.remove("mine") > 20_000
    assert not folder.exists()
    assert catalog.remove("linked") == 0
    assert (outside / "model.bin").exists()
    with pytest.raises(ForbiddenError, match="part of the package"):
        catalog.remove(DEMO_NAME)
    with pytest.raises(ForbiddenError, match="outside the models directory"):
        catalog.remove(str(outside))
    with pytest.raises(VerbatimError):
        catalog.remove("mine")
    assert (demo / "model.bin").exists()


def test_there_is_nothing_to_pull_for_own_folders(models_dir: Path, demo: Path) -> None:
    write_model(models_dir / "mine")
    catalog = make_catalog(models_dir, demo)
    with pytest.raises(BadRequestError, match="is your own"):
        catalog.pull("mine")
    with pytest.raises(BadRequestError, match="comes with the package"):
        catalog.pull(DEMO_NAME)


# The default


def test_auto_takes_the_best_that_is_installed(models_dir: Path, demo: Path) -> None:
    for name in ("tiny", "medium", "small.en"):
        write_model(models_dir / name)
    assert make_catalog(models_dir, demo, machine(cores=8)).default().name == "tiny"
    assert make_catalog(models_dir, demo, machine(8, 16, 24)).default().name == "medium"
    write_model(models_dir / "small")
    catalog = make_catalog(models_dir, demo, machine(cores=8))
    assert catalog.default().name == "small"
    assert {catalog.resolve(alias).name for alias in DEFAULT_ALIASES} == {"small"}


def test_auto_takes_a_folder_of_ones_own_before_the_demo(models_dir: Path, demo: Path) -> None:
    write_model(models_dir / "mine")
    (models_dir / "small").mkdir()  # no model, and in nobody's way
    assert make_catalog(models_dir, demo).default().name == "mine"


def test_the_choice_is_made_once(models_dir: Path, demo: Path) -> None:
    catalog = make_catalog(models_dir, demo)
    assert catalog.default().is_demo
    write_model(models_dir / "small")
    assert catalog.default().is_demo
    assert catalog.resolve("auto").is_demo


def test_a_default_that_was_removed_is_chosen_again(models_dir: Path, demo: Path) -> None:
    write_model(models_dir / "small")
    catalog = make_catalog(models_dir, demo)
    assert catalog.default().name == "small"
    catalog.remove("small")
    assert catalog.resolve("auto").is_demo
    assert catalog.default().is_demo


def test_the_default_can_be_a_path_and_is_then_known_by_its_name(
    tmp_path: Path, models_dir: Path, demo: Path
) -> None:
    folder = write_model(tmp_path / "elsewhere" / "mine")
    catalog = make_catalog(models_dir, demo, model=str(folder))
    assert catalog.resolve("whisper-1").folder == folder.resolve()
    assert catalog.resolve("mine").folder == folder.resolve()
    assert "mine" in {entry.name for entry in catalog.installed()}


def test_without_any_model_at_all_the_error_says_so(models_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="demo model is not part of this install"):
        make_catalog(models_dir, tmp_path / "nothing").default()


def test_the_bundled_demo_is_a_model() -> None:
    assert folder_problem(BUNDLED_DEMO) is None


# The choice by hardware


@pytest.mark.parametrize(
    ("hardware", "device", "name"),
    [
        (machine(1, 1), "auto", "tiny"),
        (machine(8, 1), "auto", "tiny"),
        (machine(2, 8), "auto", "base"),
        (machine(4, 4), "auto", "small"),
        (machine(64, 256), "auto", "small"),
        (machine(4, 16, 1), "auto", "base"),
        (machine(4, 16, 2.1), "auto", "small"),
        (machine(4, 16, 6), "auto", "large-v3-turbo"),
        (machine(4, 16, 10), "auto", "large-v3"),
        (machine(4, 16, 150), "cuda", "large-v3"),
        (machine(4, 16, 150), "cpu", "small"),
    ],
)
def test_what_a_machine_should_have(hardware: Hardware, device: str, name: str) -> None:
    assert wanted_model(hardware, device).name == name


@given(
    st.integers(1, 128),
    st.floats(0.25, 1024),
    st.lists(st.floats(0.5, 200), max_size=4),
    st.sampled_from(["auto", "cpu", "cuda"]),
)
def test_preferences_start_with_the_wanted_and_fit(
    cores: int, memory_gb: float, gpus: list[float], device: str
) -> None:
    hardware = machine(cores, memory_gb, *gpus)
    preferred = preferred_models(hardware, device)
    assert preferred[0] is wanted_model(hardware, device)
    assert len(set(preferred)) == len(preferred)
    english = [m.english_only for m in preferred]
    assert english == sorted(english)
    memory = max(gpus) if gpus and device != "cpu" else memory_gb
    assert all(memory_needed_bytes(m) <= memory * GB for m in preferred[1:])


# The machine


def fake_root(tmp_path: Path, **files: str) -> Path:
    for name, content in files.items():
        path = tmp_path / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_processor_features(tmp_path: Path) -> None:
    root = fake_root(
        tmp_path,
        proc__cpuinfo="processor : 0\nmodel name : Fast 9000\nflags : fpu avx2 avx512f amx_bf16\n",
    )
    hardware = measure_hardware(root)
    assert hardware.processor == "Fast 9000"
    assert hardware.features == ("avx2", "avx512f", "amx_bf16")


def test_arm_features(tmp_path: Path) -> None:
    root = fake_root(tmp_path, proc__cpuinfo="processor\t: 0\nFeatures\t: fp asimd asimddp bf16\n")
    assert measure_hardware(root).features == ("asimd", "asimddp", "bf16")


def test_a_containers_limits_hold(tmp_path: Path) -> None:
    root = fake_root(tmp_path)
    (root / "sys/fs/cgroup").mkdir(parents=True)
    (root / "sys/fs/cgroup/cpu.max").write_text("50000 100000\n")
    (root / "sys/fs/cgroup/memory.max").write_text("1000000000\n")
    hardware = measure_hardware(root)
    assert (hardware.cores, hardware.memory_bytes) == (1, 1_000_000_000)


def test_an_older_containers_limits_hold(tmp_path: Path) -> None:
    cpu = tmp_path / "sys/fs/cgroup/cpu"
    memory = tmp_path / "sys/fs/cgroup/memory"
    cpu.mkdir(parents=True)
    memory.mkdir()
    (cpu / "cpu.cfs_quota_us").write_text("100000")
    (cpu / "cpu.cfs_period_us").write_text("100000")
    (memory / "memory.limit_in_bytes").write_text("9223372036854771712")
    hardware = measure_hardware(tmp_path)
    assert hardware.cores == 1
    assert hardware.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_no_limits_means_the_machine(tmp_path: Path) -> None:
    cgroup = tmp_path / "sys/fs/cgroup"
    cgroup.mkdir(parents=True)
    (cgroup / "cpu.max").write_text("max 100000")
    (cgroup / "memory.max").write_text("max")
    hardware = measure_hardware(tmp_path)
    assert hardware.cores == len(os.sched_getaffinity(0))
    assert hardware.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_gpus_can_be_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert measure_hardware().gpus == ()


def fake_nvml(cards: list[tuple[str, int] | None], status: int = 0) -> SimpleNamespace:
    """NVIDIA's management library; a card that is None has fallen off the bus."""

    def card_of(handle: ctypes.c_void_p) -> tuple[str, int]:
        return cards[(handle.value or 0) - 1] or ("", 0)

    def count(reference: Any) -> int:
        reference._obj.value = len(cards)
        return 0

    def handle(index: int, reference: Any) -> int:
        reference._obj.value = index + 1
        return 0 if cards[index] else 15

    def memory(of: ctypes.c_void_p, reference: Any) -> int:
        reference._obj.total = card_of(of)[1]
        return 0

    def name(of: ctypes.c_void_p, buffer: Any, length: int) -> int:
        buffer.value = card_of(of)[0].encode()
        return 0

    return SimpleNamespace(
        nvmlInit_v2=lambda: status,
        nvmlShutdown=lambda: 0,
        nvmlDeviceGetCount_v2=count,
        nvmlDeviceGetHandleByIndex_v2=handle,
        nvmlDeviceGetMemoryInfo=memory,
        nvmlDeviceGetName=name,
    )


def test_gpus_are_those_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    working = fake_nvml([("H200", 150 * GB), None])
    monkeypatch.setattr(ctypes, "CDLL", lambda name: working)
    assert measure_hardware().gpus == (Gpu("H200", 150 * GB),)
    without_driver = fake_nvml([("H200", 150 * GB)], status=9)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: without_driver)
    assert measure_hardware().gpus == ()
