"""Downloads when the network, the hub or the disk misbehaves; the hub is a local server."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from huggingface_hub import scan_cache_dir, try_to_load_from_cache
from tests.support.fake_hub import (
    COMMIT,
    FakeHub,
    Repository,
    etag_of,
    model_files,
    running_hub,
    write_model,
)

from verbatim.domain.errors import (
    ModelNotFoundError,
    ModelNotInstalledError,
    ModelUnavailableError,
    StorageFullError,
    VerbatimError,
)
from verbatim.domain.transcript import WarningCode
from verbatim.engine.catalog import BUNDLED_DEMO, Catalog
from verbatim.engine.downloads import DownloadProgress
from verbatim.engine.hardware import Hardware
from verbatim.engine.hub import HUB_UNREACHABLE, HubClient, HubConfig
from verbatim.engine.known_models import find_known
from verbatim.settings import load_settings

REPOSITORY = "someone/whisper-ct2"
NOTICED_S = 3.0
HANGS_S = 60.0
Network: TypeAlias = Callable[[], contextlib.AbstractContextManager[str]]
"""Makes a hub that does not answer, for a time; gives its address."""
SMALL_MACHINE = Hardware("", (), cores=2, memory_bytes=8_000_000_000)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with running_hub() as fake:
        fake.repositories[REPOSITORY] = Repository(model_files())
        yield fake


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"


def client_of(
    endpoint: str, cache: Path, *, token: str | None = None, offline: bool = False
) -> HubClient:
    config = HubConfig(cache, endpoint, token, offline)
    return HubClient(config, answer_timeout_s=1.0, sleep=lambda _: None)


def catalog_of(client: HubClient, demo: Path | None = None, **settings: object) -> Catalog:
    return Catalog(load_settings(settings), client, lambda: SMALL_MACHINE, demo or BUNDLED_DEMO)


def test_a_download_brings_what_a_model_needs_and_nothing_else(hub: FakeHub, cache: Path) -> None:
    heard: list[DownloadProgress] = []
    snapshot = client_of(hub.endpoint, cache).download(REPOSITORY, "mine", heard.append)
    files = hub.repositories[REPOSITORY].files
    assert {p.name for p in snapshot.iterdir()} == files.keys() - {"README.md"}
    assert all(path.read_bytes() == files[path.name] for path in snapshot.iterdir())
    total = sum(len(content) for name, content in files.items() if name != "README.md")
    assert {p.total_bytes for p in heard} == {total}
    assert max(p.done_bytes for p in heard) == total
    assert {p.model for p in heard} == {"mine"}


def test_the_cache_is_laid_out_as_other_tools_expect(hub: FakeHub, cache: Path) -> None:
    snapshot = client_of(hub.endpoint, cache).download(REPOSITORY, "mine")
    found = try_to_load_from_cache(REPOSITORY, "model.bin", cache_dir=cache)
    assert found == str(snapshot / "model.bin")
    scan = scan_cache_dir(cache)
    assert not scan.warnings
    (repository,) = scan.repos
    assert repository.repo_id == REPOSITORY
    (revision,) = repository.revisions
    assert revision.commit_hash == COMMIT
    assert revision.refs == {"main"}


def test_a_model_that_another_tool_downloaded_is_found(cache: Path) -> None:
    repository = "Systran/faster-whisper-tiny"
    base = cache / "models--Systran--faster-whisper-tiny"
    snapshot = write_model(base / "snapshots" / COMMIT)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(COMMIT)
    found = catalog_of(client_of("http://127.0.0.1:9", cache)).resolve("tiny")
    assert (found.name, found.folder, found.source) == ("tiny", snapshot, "cache")
    assert catalog_of(client_of("http://127.0.0.1:9", cache)).resolve(repository) == found


def test_credentials_go_to_the_hub_and_not_to_its_store(hub: FakeHub, cache: Path) -> None:
    hub.repositories[REPOSITORY].token = "hf_secret"
    client_of(hub.endpoint, cache, token="hf_secret").download(REPOSITORY, "mine")
    asked = [r for r in hub.requests if "/resolve/" in r.path]
    stored = [r for r in hub.requests if r.path.startswith("/store/")]
    assert asked
    assert stored
    assert all(r.headers["Authorization"] == "Bearer hf_secret" for r in asked)
    assert all("Authorization" not in r.headers for r in stored)


def test_a_broken_connection_is_resumed(hub: FakeHub, cache: Path) -> None:
    hub.break_after_bytes, hub.breaks_left = 100_000, 2
    snapshot = client_of(hub.endpoint, cache).download(REPOSITORY, "mine")
    weights = hub.repositories[REPOSITORY].files["model.bin"]
    assert (snapshot / "model.bin").read_bytes() == weights
    ranges = [r.headers.get("Range") for r in hub.downloads() if r.path.startswith("/store/")]
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]


def test_a_download_that_was_given_up_goes_on_in_another_process(hub: FakeHub, cache: Path) -> None:
    hub.break_after_bytes, hub.breaks_left = 100_000, 1
    first = client_of(hub.endpoint, cache)

    class _GoneError(Exception):
        pass

    def leave(_: float) -> None:
        raise _GoneError

    with pytest.raises(_GoneError):
        HubClient(first.config, sleep=leave).download(REPOSITORY, "mine")
    assert first.cache.snapshot(REPOSITORY) is None

    hub.requests.clear()
    client_of(hub.endpoint, cache).download(REPOSITORY, "mine")
    ranges = [r.headers.get("Range") for r in hub.downloads() if r.path.startswith("/store/")]
    assert ranges == ["bytes=100000-"]


def test_a_server_without_ranges_is_asked_from_the_start(hub: FakeHub, cache: Path) -> None:
    hub.break_after_bytes, hub.breaks_left, hub.ignore_ranges = 100_000, 1, True
    snapshot = client_of(hub.endpoint, cache).download(REPOSITORY, "mine")
    weights = hub.repositories[REPOSITORY].files["model.bin"]
    assert (snapshot / "model.bin").read_bytes() == weights


def test_a_connection_that_always_breaks_is_given_up_and_what_came_is_kept(
    hub: FakeHub, cache: Path
) -> None:
    hub.break_after_bytes, hub.breaks_left, hub.ignore_ranges = 100_000, 1000, True
    with pytest.raises(ModelUnavailableError, match="keeps breaking off"):
        client_of(hub.endpoint, cache).download(REPOSITORY, "mine")
    (incomplete,) = cache.rglob("*.incomplete")
    assert incomplete.stat().st_size == 100_000


def test_damage_on_the_way_is_noticed_and_fetched_again(hub: FakeHub, cache: Path) -> None:
    hub.corruptions_left = 1
    snapshot = client_of(hub.endpoint, cache).download(REPOSITORY, "mine")
    weights = hub.repositories[REPOSITORY].files["model.bin"]
    assert (snapshot / "model.bin").read_bytes() == weights


def test_damage_that_persists_is_a_clear_error(hub: FakeHub, cache: Path) -> None:
    hub.corruptions_left = 1000
    client = client_of(hub.endpoint, cache)
    with pytest.raises(ModelUnavailableError, match="damaged 2 times"):
        client.download(REPOSITORY, "mine")
    assert client.cache.snapshot(REPOSITORY) is None


def test_a_file_of_another_size_than_announced_ends_in_an_error(hub: FakeHub, cache: Path) -> None:
    hub.size_is_wrong_by = -10
    with pytest.raises(ModelUnavailableError, match="keeps breaking off"):
        client_of(hub.endpoint, cache).download(REPOSITORY, "mine")


@pytest.mark.parametrize("change", ["flip", "truncate"])
def test_pull_mends_a_damaged_model(hub: FakeHub, cache: Path, change: str) -> None:
    catalog = catalog_of(client_of(hub.endpoint, cache))
    weights = catalog.pull(REPOSITORY).folder / "model.bin"
    good = weights.read_bytes()
    weights.resolve().write_bytes(good[:-1] + b"!" if change == "flip" else good[:1000])
    hub.requests.clear()
    assert (catalog.pull(REPOSITORY).folder / "model.bin").read_bytes() == good
    assert len(hub.downloads("config.json")) == 0


def test_pull_without_a_network_verifies_what_is_there(hub: FakeHub, cache: Path) -> None:
    catalog_of(client_of(hub.endpoint, cache)).pull(REPOSITORY)
    offline = catalog_of(client_of(hub.endpoint, cache, offline=True))
    weights = offline.pull(REPOSITORY).folder / "model.bin"
    weights.resolve().write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelUnavailableError, match=r"is damaged \(model.bin\)"):
        offline.pull(REPOSITORY)


def test_pull_takes_a_newer_version(hub: FakeHub, cache: Path) -> None:
    catalog = catalog_of(client_of(hub.endpoint, cache))
    catalog.pull(REPOSITORY)
    newer = Repository(model_files(seed=1), commit="f" * 40)
    hub.repositories[REPOSITORY] = newer
    assert (catalog.pull(REPOSITORY).folder / "model.bin").read_bytes() == newer.files["model.bin"]
    assert catalog.resolve(REPOSITORY).folder.name == "f" * 40


def test_a_busy_hub_is_asked_again(hub: FakeHub, cache: Path) -> None:
    hub.busy_left = 2
    assert client_of(hub.endpoint, cache).download(REPOSITORY, "mine").is_dir()


def test_a_hub_that_stays_busy_is_a_clear_error(hub: FakeHub, cache: Path) -> None:
    hub.busy_left = 1000
    with pytest.raises(ModelUnavailableError, match="status 503"):
        client_of(hub.endpoint, cache).download(REPOSITORY, "mine")


def test_a_repository_that_moved_is_found(hub: FakeHub, cache: Path) -> None:
    hub.repositories["someone/old-name"] = Repository({}, moved_to=REPOSITORY)
    snapshot = client_of(hub.endpoint, cache).download("someone/old-name", "mine")
    assert "models--someone--old-name" in snapshot.parts


@pytest.mark.parametrize(
    ("repository", "token", "words"),
    [
        ("nobody/nothing", None, "does not exist or is private.*set HF_TOKEN"),
        ("nobody/nothing", "hf_x", "has no repository nobody/nothing"),
        ("someone/private", None, "does not exist or is private.*set HF_TOKEN"),
        ("someone/private", "hf_wrong", "token in HF_TOKEN may not read it"),
        ("someone/gated", "hf_x", "accept them on .*/someone/gated and set HF_TOKEN"),
        ("someone/transformers", None, "has no model.bin.*ct2-transformers-converter"),
        ("someone/not-whisper", None, "holds no Whisper model"),
    ],
)
def test_what_cannot_be_had_is_explained(
    hub: FakeHub, cache: Path, repository: str, token: str | None, words: str
) -> None:
    files = model_files()
    hub.repositories["someone/private"] = Repository(files, token="hf_right")
    hub.repositories["someone/gated"] = Repository(files, gated=True)
    hub.repositories["someone/transformers"] = Repository(
        {"config.json": b"{}", "model.safetensors": b"x"}
    )
    hub.repositories["someone/not-whisper"] = Repository(
        {**files, "model.bin": b"\x06\x00\x00\x00\x10\x00TransformerSpec\x00" + bytes(20_000)}
    )
    with pytest.raises(VerbatimError, match=words):
        client_of(hub.endpoint, cache, token=token).download(repository, "mine")


def test_a_server_that_is_no_hub_is_a_clear_error(hub: FakeHub, cache: Path) -> None:
    with pytest.raises(VerbatimError, match=r"has no repository|does not answer as a model hub"):
        client_of(f"{hub.endpoint}/some/page", cache).download(REPOSITORY, "mine")


def test_a_full_disk_is_said_before_the_download(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StorageFullError, match="Make room, or set HF_HOME"):
        client_of(hub.endpoint, cache).download(REPOSITORY, "mine")


def test_a_cache_that_cannot_be_written_is_a_clear_error(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    with pytest.raises(ModelUnavailableError, match="set HF_HOME"):
        client_of(hub.endpoint, tmp_path / "file" / "hub").download(REPOSITORY, "mine")


# Not reachable


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def full_backlog() -> Iterator[str]:
    """A port whose connections are neither accepted nor refused, as behind a silent firewall."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def silent_hub() -> Iterator[str]:
    with running_hub() as fake:
        fake.silent = threading.Event()
        yield fake.endpoint


@pytest.mark.parametrize("network", [closed_port, full_backlog, silent_hub])
def test_an_unreachable_hub_is_noticed_within_seconds(network: Network, cache: Path) -> None:
    with network() as endpoint:
        started = time.monotonic()
        with pytest.raises(ModelUnavailableError, match="cannot be reached") as caught:
            client_of(endpoint, cache).download(REPOSITORY, "mine")
        assert time.monotonic() - started < NOTICED_S
        assert caught.value.code == HUB_UNREACHABLE


def test_a_name_look_up_that_hangs_is_noticed_within_seconds(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()

    def hang(*args: object, **kwargs: object) -> None:
        answer.wait(HANGS_S)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    try:
        with pytest.raises(ModelUnavailableError, match="cannot be reached"):
            client_of("http://hub.invalid", cache).download(REPOSITORY, "mine")
        assert time.monotonic() - started < NOTICED_S
    finally:
        answer.set()


def test_a_proxy_that_cannot_be_used_is_a_clear_error(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://host")
    with pytest.raises(ModelUnavailableError, match="proxy"):
        client_of(hub.endpoint, cache).download(REPOSITORY, "mine")


def test_downloads_go_through_the_proxy(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fake hub is asked for the whole address, as a proxy is, and answers it by its path.
    monkeypatch.setenv("HTTP_PROXY", hub.endpoint)
    client_of("http://hub.invalid", cache).probe()
    assert hub.requests[-1].path.startswith("http://hub.invalid")


# The catalog on top


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket.socket, "connect_ex", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr(socket, "create_connection", forbidden)


@pytest.fixture
def cached(hub: FakeHub, cache: Path) -> HubClient:
    known = find_known("base")
    assert known is not None
    hub.repositories[known.repository] = Repository(model_files())
    client = client_of(hub.endpoint, cache)
    catalog_of(client).pull("base")
    catalog_of(client).pull(REPOSITORY)
    return client


def test_what_is_cached_needs_no_network_at_all(cached: HubClient, no_network: None) -> None:
    catalog = catalog_of(cached)
    assert catalog.ensure("base").source == "cache"
    assert catalog.ensure(REPOSITORY).source == "cache"
    assert catalog.default().name == "base"
    assert catalog.resolve("whisper-1").name == "base"
    assert {entry.name for entry in catalog.installed()} >= {"base", REPOSITORY}
    assert catalog.show("base").entry is not None


@pytest.mark.usefixtures("no_network")
def test_offline_touches_no_network(cache: Path, tmp_path: Path) -> None:
    demo = write_model(tmp_path / "demo")
    catalog = catalog_of(client_of("http://hub.invalid", cache, offline=True), demo)
    with pytest.raises(ModelNotInstalledError, match="unset VERBATIM_OFFLINE"):
        catalog.ensure("small")
    with pytest.raises(ModelNotInstalledError, match="MODELS_DIR/small"):
        catalog.pull("small")
    assert catalog.default().is_demo


def test_auto_downloads_what_the_machine_should_have(
    hub: FakeHub, cache: Path, tmp_path: Path
) -> None:
    known = find_known("base")
    assert known is not None
    hub.repositories[known.repository] = Repository(model_files())
    heard: list[DownloadProgress] = []
    chosen = catalog_of(client_of(hub.endpoint, cache)).default(heard.append)
    assert (chosen.name, chosen.source, chosen.warnings) == ("base", "cache", ())
    assert heard


@pytest.mark.parametrize("network", [closed_port, silent_hub])
def test_auto_takes_the_demo_model_where_none_can_be_had(
    network: Network, cache: Path, tmp_path: Path
) -> None:
    with network() as endpoint:
        catalog = catalog_of(client_of(endpoint, cache), write_model(tmp_path / "demo"))
        started = time.monotonic()
        chosen = catalog.default()
        assert time.monotonic() - started < NOTICED_S
        (warning,) = chosen.warnings
        assert warning.code is WarningCode.DEMO_MODEL
        assert "verbatim models pull small" in warning.message
        assert "cannot be reached" in warning.message
        assert catalog.default() is chosen
        assert time.monotonic() - started < NOTICED_S


def test_a_model_that_the_settings_name_is_not_replaced_by_the_demo(
    cache: Path, tmp_path: Path
) -> None:
    with closed_port() as endpoint:
        demo = write_model(tmp_path / "demo")
        catalog = catalog_of(client_of(endpoint, cache), demo, model="small")
        with pytest.raises(ModelUnavailableError, match="cannot be reached"):
            catalog.default()


def test_strangers_cannot_have_the_server_download_what_it_does_not_know(
    hub: FakeHub, cache: Path
) -> None:
    catalog = catalog_of(client_of(hub.endpoint, cache))
    with pytest.raises(ModelNotFoundError, match=f"verbatim models pull {REPOSITORY}"):
        catalog.ensure(REPOSITORY)
    assert not hub.requests
    assert catalog.ensure(REPOSITORY, allow_paths=True).name == REPOSITORY


def test_two_at_once_download_once(hub: FakeHub, cache: Path) -> None:
    catalog = catalog_of(client_of(hub.endpoint, cache))
    threads = [threading.Thread(target=catalog.pull, args=(REPOSITORY,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([r for r in hub.downloads() if r.path.startswith("/store/")]) == 1


def test_removing_frees_the_disk(cached: HubClient, cache: Path) -> None:
    catalog = catalog_of(cached)
    freed_bytes = catalog.remove("base")
    assert freed_bytes >= 300_000
    assert not (cache / "models--Systran--faster-whisper-base").exists()
    assert [entry.name for entry in catalog.installed() if entry.source == "cache"] == [REPOSITORY]
    with pytest.raises(ModelNotInstalledError):
        catalog.remove("base")


def test_the_environment_configures_the_hub(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_kept\n")
    environment = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "https://mirror.example/"}
    config = HubConfig.from_environment(environment, offline=False)
    assert config == HubConfig(tmp_path / "hub", "https://mirror.example", "hf_kept", False)
    assert "hf_kept" not in repr(config)
    environment |= {"HF_TOKEN": "hf_set", "HF_HUB_CACHE": "/cache", "HF_HUB_OFFLINE": "1"}
    config = HubConfig.from_environment(environment, offline=False)
    assert config == HubConfig(Path("/cache"), "https://mirror.example", "hf_set", True)


def test_etags_are_those_of_git_and_lfs() -> None:
    # `git hash-object` and `sha256sum` of the same bytes.
    assert etag_of(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert etag_of(bytes(10_000)) == (
        "95b532cc4381affdff0d956e12520a04129ed49d37e154228368fe5621f0b9a2"
    )
